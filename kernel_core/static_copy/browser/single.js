// One pair large, with flip and difference; one example with all the lists that it is in.
(() => {
  const Copy = globalThis.Copy;
  const { element, example, className, value, percent } = Copy;
  const { about } = Copy.data;
  const LARGE = 320; // pixels of an image's side

  function steps(found) {
    if (found.place === undefined) return undefined;
    const link = (href, text, key) =>
      href ? element("a", { href, "data-key": key }, text) : element("span", { class: "off" }, text);
    const where = `${Copy.count(found.place + 1)} of ${Copy.count(found.total)}`;
    return element(
      "nav",
      { class: "pager", "aria-label": "In the list" },
      link(found.previous, "‹ previous", "previous"),
      element("a", { href: found.back }, where),
      link(found.next, "next ›", "next"),
    );
  }

  function verdictLines(found) {
    if (!found) return [];
    const notes = found[1].filter((vote) => vote[3]).map(([who, , , note]) =>
      element("li", {}, `${who}: ${note}`)
    );
    const said = element("p", { class: "verdict" }, Copy.badge(found), ` ${Copy.inWords(found)}`);
    return notes.length ? [said, element("ul", {}, ...notes)] : [said];
  }

  function facts(number) {
    const said = example(number);
    const predicted = said.predicted === null
      ? ""
      : `ensemble: ${className(said.predicted)} ${percent(said.confidence)}`;
    return element(
      "div",
      { class: "facts" },
      element("b", {}, className(said.label)),
      ` ${said.name}`,
      element("small", {}, predicted),
    );
  }

  function side(number, params) {
    const href = Copy.address("example", { e: example(number).name });
    const link = element("a", { href, title: `To ${example(number).name}` }, Copy.picture(number, LARGE));
    return element(
      "figure",
      {},
      link,
      element("figcaption", {}, facts(number), ...verdictLines(Copy.judged(number)), params),
    );
  }

  /** Return both images in one place: a click flips them; or their difference. */
  function compared(a, b) {
    const [below, above] = [a, b].map((number) => Copy.picture(number, LARGE));
    for (const drawn of [below, above]) drawn.setAttribute("aria-hidden", "true");
    const stage = element("div", { class: "stage", "data-shows": "a" }, below, above);
    const said = element("p", { role: "status", class: "soft" });
    const show = (what) => {
      stage.dataset.shows = what;
      const words = { a: `shows ${example(a).name}`, b: `shows ${example(b).name}` };
      said.textContent = words[what] ?? "|A − B|, amplified 3 times; black is equal";
    };
    const flip = () => show(stage.dataset.shows === "a" ? "b" : "a");
    const difference = () => show(stage.dataset.shows === "difference" ? "a" : "difference");
    show("a");
    const buttons = element(
      "div",
      { class: "buttons" },
      element("button", { type: "button", "data-key": "flip", onclick: flip }, "Flip (f)"),
      element("button", { type: "button", "data-key": "difference", onclick: difference }, "Difference (d)"),
    );
    return element("figure", {}, stage, element("figcaption", {}, said, buttons));
  }

  /** Return where a pair stands in each list of pairs that has it. */
  async function ranksOf(a, b) {
    const rows = [];
    for (const list of about.lists.filter((of) => of.page === "near_duplicates")) {
      const columns = await Copy.load(list.name);
      const is = (row) =>
        (columns.a[row] === a && columns.b[row] === b) || (columns.a[row] === b && columns.b[row] === a);
      const row = columns.a.findIndex((_, place) => is(place));
      if (row < 0) continue;
      const words = [
        `${list.choice.order === "twin" ? "twin score" : about.by.title}: rank ${Copy.count(row + 1)}`,
      ];
      words.push(`similarity ${value(columns.value[row])}`);
      if (columns.twin) words.push(`twin score ${value(columns.twin[row])}`);
      if (columns.aligned) words.push(`pixels aligned ${value(columns.aligned[row])}`);
      const href = Copy.address("near_duplicates", { ...list.choice, ranks: `${row + 1}` });
      rows.push(
        element("li", {}, element("a", { href }, words.join(" · ")), " ", Copy.bandBadge(columns, row)),
      );
    }
    return rows.length ? [element("h2", {}, "In the lists"), element("ul", {}, ...rows)] : [];
  }

  async function pairPage(params) {
    const [a, b] = [params.a, params.b].map(Copy.numberOf);
    if (a === undefined || b === undefined) return missing(a === undefined ? params.a : params.b);
    const found = await Copy.around(params, (columns, row) => columns.a[row] === a && columns.b?.[row] === b);
    const title = `${example(a).name} ↔ ${example(b).name}`;
    const differs = example(a).label !== example(b).label;
    const images = about.sheets ? [compared(a, b)] : [];
    return [
      element("h1", {}, title),
      steps(found),
      element(
        "p",
        { id: "said" },
        differs
          ? `≠ ${className(example(a).label)} and ${className(example(b).label)}`
          : `both ${className(example(a).label)}`,
      ),
      ...verdictLines(Copy.judged(a, b)),
      element("div", { class: "comparison" }, side(a), side(b), ...images),
      ...await ranksOf(a, b),
    ];
  }

  function missing(name) {
    return [
      element("h1", {}, "Not in this copy"),
      element(
        "p",
        {},
        `There is no example ${name ?? ""} here: the copy has the examples of its lists alone.`,
      ),
    ];
  }

  /** Return the lists that an example is in, with links to its pairs. */
  async function placesOf(number) {
    const places = [];
    for (const list of about.lists) {
      const columns = await Copy.load(list.name);
      const words = Copy.choiceWords(list);
      const title = Copy.TITLES[list.page] + (words ? `, ${words}` : "");
      if (columns.members) {
        columns.members.forEach((members, row) => {
          if (!members.includes(number)) return;
          const others = members.filter((member) => member !== number).slice(0, 12);
          const tiles = others.map((other) =>
            Copy.tile(other, Copy.pairHref("", {}, number, other), { side: 64 })
          );
          const href = Copy.address(list.page, { ...list.choice, find: example(number).name });
          places.push(
            element(
              "li",
              {},
              element("a", { href }, `${title}: group ${Copy.count(row + 1)}`),
              element("div", { class: "tiles" }, ...tiles),
            ),
          );
        });
        continue;
      }
      const rows = columns.a.flatMap((a, row) => a === number || columns.b?.[row] === number ? [row] : []);
      if (!rows.length || (columns.probability && columns.a[rows[0]] !== number)) continue;
      const shown = rows.slice(0, 12).flatMap((row) => {
        if (!columns.b) return [];
        const other = columns.a[row] === number ? columns.b[row] : columns.a[row];
        return [Copy.tile(other, Copy.pairHref("", {}, columns.a[row], columns.b[row]), { side: 64 })];
      });
      const href = Copy.address(list.page, { ...list.choice, find: example(number).name });
      const ranks = rows.slice(0, 3).map((row) => `#${Copy.count(columns.rank?.[row] ?? row + 1)}`).join(
        ", ",
      );
      places.push(
        element(
          "li",
          {},
          element("a", { href }, `${title}: ${ranks}`),
          element("div", { class: "tiles" }, ...shown),
        ),
      );
    }
    return places;
  }

  async function examplePage(params) {
    const number = Copy.numberOf(params.e);
    if (number === undefined) return missing(params.e);
    const found = await Copy.around(params, (columns, row) => columns.a[row] === number);
    const places = await placesOf(number);
    return [
      element("h1", {}, `${example(number).name}, ${className(example(number).label)}`),
      steps(found),
      element(
        "div",
        { class: "comparison" },
        element(
          "figure",
          {},
          Copy.picture(number, LARGE),
          element("figcaption", {}, facts(number), ...verdictLines(Copy.judged(number))),
        ),
      ),
      element("h2", {}, "In the lists"),
      element("ul", { class: "places" }, ...places),
    ];
  }

  Object.assign(Copy, { pairPage, examplePage });
})();
