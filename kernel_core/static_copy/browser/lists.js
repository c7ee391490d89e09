// The pages with a list: near-duplicates, labels to check, label conflicts, groups, memorized examples.
(() => {
  const Copy = globalThis.Copy;
  const { element, example, className, value, percent } = Copy;
  const { about } = Copy.data;
  const PER_PAGE = { near_duplicates: 60, groups: 30, labels: 30, failure_modes: 60, memorization: 60 };
  const NOUNS = { labels: "example", failure_modes: "conflict", groups: "group", memorization: "example" };
  const EXPLAINED = {
    near_duplicates: "Each example with its nearest, or with its twin. A high rank does not prove a " +
      "duplicate; judge by eye.",
    labels: "Ensemble: the class with the largest mean probability. Neighbors: the class with the largest " +
      "share of their weight. A doubtful label is not a wrong one; judge by eye.",
    failure_modes: "Examples whose nearest has a different label, the most similar first.",
    groups: "The first of each group is the one to keep: the nearest to all others.",
    memorization: "Right by runs that trained on the example, wrong by those that did not: the difference " +
      "of the two shares, with its 95% interval.",
  };

  const pairHref = (page, params, a, b) =>
    Copy.address("pair", { ...params, page: "", a: example(a).name, b: example(b).name, from: page });
  const exampleHref = (page, params, number) =>
    Copy.address("example", { ...params, page: "", e: example(number).name, from: page });

  function pairCell(page, columns, row, params) {
    const [a, b] = [columns.a[row], columns.b[row]];
    const differs = example(a).label !== example(b).label;
    const href = pairHref(page, params, a, b);
    const rank = element("a", { href, class: "rank" }, `#${Copy.count(columns.rank?.[row] ?? row + 1)}`);
    const marks = [
      differs ? element("span", { title: "different labels" }, "≠") : "",
      Copy.bandBadge(columns, row),
      Copy.badge(Copy.judged(a, b)),
    ];
    const words = [value(columns.value[row])];
    if (columns.twin) words.push(`twin ${value(columns.twin[row])}`);
    if (columns.aligned) words.push(`pixels ${value(columns.aligned[row])}`);
    const tiles = [a, b].map((number) => Copy.tile(number, href, { differs, tab: false }));
    const head = element("div", { class: "head" }, rank, ...marks);
    const numbers = element("div", { class: "numbers" }, words.join(" · "));
    return element("li", { class: "cell" }, head, numbers, element("div", { class: "tiles" }, ...tiles));
  }

  function line(title, label, share, own) {
    const text = `${className(label)} ${share}`;
    return element("div", { class: label === own ? "" : "against" }, element("span", {}, title), ` ${text}`);
  }

  function labelCell(page, columns, row, params) {
    const [a, b] = [columns.a[row], columns.b[row]];
    const own = example(a).label;
    const flagged = columns.flagged[row] ? element("em", { class: "badge" }, "flagged") : undefined;
    const href = exampleHref(page, params, a);
    const rank = element("a", { href, class: "rank" }, `#${Copy.count(row + 1)}`);
    const head = element("div", { class: "head" }, rank, flagged, Copy.badge(Copy.judged(a)));
    const near = Copy.tile(b, pairHref("", {}, a, b), { differs: example(b).label !== own });
    const words = element(
      "div",
      { class: "words" },
      line("label", own, percent(columns.probability[row]), own),
      line("ensemble", columns.likeliest[row], percent(columns.likeliest_probability[row]), own),
      line("neighbors", columns.voted[row], percent(columns.voted_share[row]), own),
      line("proposed", columns.proposed[row], "", own),
    );
    const tiles = element("div", { class: "tiles" }, Copy.tile(a, href, { tab: false }), near, words);
    return element("li", { class: "cell wide" }, head, tiles);
  }

  function memorizedCell(page, columns, row, params) {
    const number = columns.a[row];
    const href = exampleHref(page, params, number);
    const rank = element("a", { href, class: "rank" }, `#${Copy.count(row + 1)}`);
    const head = element("div", { class: "head" }, rank, Copy.badge(Copy.judged(number)));
    const ends = `${value(columns.low[row])} … ${value(columns.high[row])}`;
    const words = element(
      "div",
      { class: "words" },
      element("div", {}, `${value(columns.memorization[row])} (${ends})`),
      element("div", {}, `right with it ${percent(columns.right_with[row])}`),
      element("div", {}, `without ${percent(columns.right_without[row])}`),
      element("div", {}, `then ${className(columns.unseen_predicted[row])}`),
    );
    return element(
      "li",
      { class: "cell wide" },
      head,
      element("div", { class: "tiles" }, Copy.tile(number, href, { tab: false }), words),
    );
  }

  /** Return the value that is there most often; of several, the first. */
  function commonest(values) {
    const counts = new Map();
    for (const found of values) counts.set(found, (counts.get(found) ?? 0) + 1);
    return [...counts].reduce((best, next) => next[1] > best[1] ? next : best)[0];
  }

  function groupCell(page, columns, row, params) {
    const members = columns.members[row];
    const hidden = columns.size[row] - members.length;
    const head = element(
      "div",
      { class: "head" },
      element("span", { class: "rank" }, `group ${Copy.count(row + 1)}`),
      columns.is_mixed[row] ? element("span", {}, "≠") : "",
      element("span", {}, `${Copy.plural(columns.size[row], "example")} · ${value(columns.value[row])}`),
    );
    const most = commonest(members.map((number) => example(number).label));
    const tiles = members.map((number) => {
      const href = exampleHref(page, params, number);
      return Copy.tile(number, href, { side: 64, differs: example(number).label !== most });
    });
    if (hidden > 0) tiles.push(element("span", { class: "more" }, `and ${Copy.count(hidden)} more`));
    return element("li", { class: "cell full" }, head, element("div", { class: "tiles" }, ...tiles));
  }

  const CELLS = { labels: labelCell, groups: groupCell, memorization: memorizedCell };

  /** Return the sentence that says what the list holds. */
  function sentence(page, list, rows) {
    const noun = NOUNS[page] ?? "pair";
    const all = rows.length === list.count;
    const said = element(
      "strong",
      {},
      all ? Copy.plural(list.count, noun) : `${Copy.count(rows.length)} of ${Copy.plural(list.count, noun)}`,
    );
    const cut = list.count < list.total
      ? ` The copy has the first ${Copy.count(list.count)} of ${Copy.count(list.total)}.`
      : "";
    return element("p", { id: "said", role: "status" }, said, `.${cut} ${list.notes.join(" ")}`);
  }

  /** Return the content of a page with a list. */
  async function listPage(page, params) {
    const list = Copy.listOf(page, params);
    if (!list) return [element("p", {}, "This copy has no such list.")];
    const columns = await Copy.load(list.name);
    const rows = Copy.rowsOf(page, columns, params);
    const per = PER_PAGE[page];
    const pages = Math.max(1, Math.ceil(rows.length / per));
    const now = Math.min(pages, Math.max(1, Number.parseInt(params.page ?? "1") || 1));
    const cell = CELLS[page] ?? pairCell;
    const { page: _, ...choices } = params;
    const shown = rows.slice((now - 1) * per, now * per).map((row) => cell(page, columns, row, choices));
    const grid = element("ol", { class: `cells ${page}`, "data-rows": rows.length }, ...shown);
    return [
      element("h1", {}, Copy.TITLES[page]),
      element("p", { class: "soft" }, `${EXPLAINED[page]} By ${about.by.title}.`),
      Copy.controls(page, columns, params),
      sentence(page, list, rows),
      ...(rows.length
        ? [grid, Copy.pager(page, choices, pages, now)]
        : [element("p", {}, "Nothing passes these filters.")]),
    ];
  }

  /** Return the addresses before and after an item in the list that it was reached from. */
  async function around(params, matches) {
    const { from, a: _a, b: _b, e: _e, ...choices } = params;
    const list = from && Copy.listOf(from, choices);
    if (!list || from === "groups") return {};
    const columns = await Copy.load(list.name);
    const rows = Copy.rowsOf(from, columns, choices);
    const place = rows.findIndex((row) => matches(columns, row));
    const href = (row) => {
      if (row === undefined) return undefined;
      const single = from === "labels" || from === "memorization";
      return single
        ? exampleHref(from, choices, columns.a[row])
        : pairHref(from, choices, columns.a[row], columns.b[row]);
    };
    if (place < 0) return {};
    const back = Copy.address(from, { ...choices, page: String(Math.floor(place / PER_PAGE[from]) + 1) });
    return { previous: href(rows[place - 1]), next: href(rows[place + 1]), place, total: rows.length, back };
  }

  Object.assign(Copy, { listPage, around, pairHref, exampleHref });
})();
