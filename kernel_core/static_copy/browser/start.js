// The menu, which page the address asks for, the keyboard, and the place on the page that Back returns to.
(() => {
  const Copy = globalThis.Copy;
  const { element } = Copy;
  const { about, verdicts } = Copy.data;
  Copy.TITLES = {
    overview: "Overview",
    near_duplicates: "Near-duplicates",
    labels: "Labels to check",
    failure_modes: "Label conflicts",
    groups: "Groups",
    memorization: "Memorized",
  };
  const KEYS = {
    n: "next",
    ArrowRight: "next",
    b: "previous",
    ArrowLeft: "previous",
    f: "flip",
    d: "difference",
  };
  const has = (page) => page === "overview" || about.lists.some((list) => list.page === page);

  function overview() {
    const rows = about.lists.map((list) => {
      const words = Copy.choiceWords(list);
      const title = `${Copy.TITLES[list.page]}${words ? ` (${words})` : ""}`;
      const held = list.count < list.total
        ? `the first ${Copy.count(list.count)} of ${Copy.count(list.total)}`
        : Copy.count(list.total);
      return element(
        "li",
        {},
        element("a", { href: Copy.address(list.page, list.choice) }, title),
        `: ${held}`,
      );
    });
    const judged = Object.keys(verdicts.pairs).length + Object.keys(verdicts.labels).length;
    return [
      element("h1", {}, about.source),
      element(
        "p",
        {},
        `Findings by ${about.by.title}, from ${Copy.plural(about.runs, "run")}. ${
          judged
            ? `${Copy.plural(judged, "item")} shown here ${judged === 1 ? "was" : "were"} judged by ${
              Copy.plural(verdicts.reviewers.length, "reviewer")
            }.`
            : "Nothing was judged yet."
        }`,
      ),
      element("ul", { class: "places" }, ...rows),
    ];
  }

  function drawMenu(page) {
    const links = Object.entries(Copy.TITLES).filter(([name]) => has(name)).map(([name, title]) =>
      element("a", { href: `#${name}`, "aria-current": name === page ? "page" : undefined }, title)
    );
    document.getElementById("menu").replaceChildren(...links);
  }

  const PAGES = new Map(Object.entries({ overview, pair: Copy.pairPage, example: Copy.examplePage }));
  let drawing = 0;

  /** Draw what the address asks for. */
  Copy.draw = async () => {
    const own = ++drawing;
    const { page, params } = Copy.read();
    const name = has(page) || PAGES.has(page) ? page : "overview";
    let content;
    try {
      content = await (PAGES.get(name)?.(params) ?? Copy.listPage(name, params));
    } catch (error) {
      content = [element("p", { role: "alert" }, error.message)];
    }
    if (own !== drawing) return; // another address was asked for meanwhile
    const focused = document.activeElement?.id;
    drawMenu(params.from && has(params.from) ? params.from : name);
    const main = document.getElementById("main");
    main.replaceChildren(...content.filter(Boolean));
    document.title = `${
      main.querySelector("h1")?.textContent ?? Copy.TITLES[name]
    } · ${about.source} · Kernel Explorer`;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    scrollTo(0, history.state?.y ?? 0);
    main.dataset.drawn = location.hash;
  };

  // Browsers refuse to note a place more than some hundred times in half a minute, as scrolling would.
  let later;
  const note = () => history.replaceState({ y: scrollY }, "");
  addEventListener("scroll", () => {
    clearTimeout(later);
    later = setTimeout(note, 100);
  });
  addEventListener("click", () => {
    clearTimeout(later);
    note();
  }, { capture: true });
  history.scrollRestoration = "manual";
  addEventListener("hashchange", Copy.draw);
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.querySelector("main").scrollIntoView();
    document.querySelector("main a, main select, main button")?.focus();
  });
  addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("input, select, textarea");
    if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = document.querySelector(`[data-key="${KEYS[event.key] ?? "none"}"]`);
    if (!target) return;
    event.preventDefault();
    target.click();
  });
  Copy.draw();
})();
