// Filters and the pages of a list. Each control writes its choice into the address.
(() => {
  const Copy = globalThis.Copy;
  const { element } = Copy;
  const { about, verdicts } = Copy.data;

  function labelled(title, control) {
    return element("label", {}, element("span", {}, title), control);
  }

  /** Return a choice from a list. options: pairs of value and title. */
  function select(title, name, options, params) {
    const chosen = params[name] ?? "";
    const control = element("select", {
      id: `choose-${name}`,
      onchange: (event) => Copy.choose({ [name]: event.target.value }),
    });
    const known = options.some(([value]) => value === chosen);
    for (const [value, text] of known ? options : [[chosen, chosen], ...options]) {
      control.append(element("option", { value, selected: value === chosen }, text));
    }
    return labelled(title, control);
  }

  /** Return a field for text or a number. */
  function field(title, name, params, attributes) {
    const value = params[name] ?? "";
    const onchange = (event) => Copy.choose({ [name]: event.target.value.trim() });
    return labelled(title, element("input", { id: `choose-${name}`, value, onchange, ...attributes }));
  }

  function toggle(title, name, params) {
    const onchange = (event) => Copy.choose({ [name]: event.target.checked ? "1" : "" });
    const checked = Boolean(params[name]);
    const box = element("input", { type: "checkbox", id: `choose-${name}`, checked, onchange });
    return element("label", { class: "toggle" }, box, element("span", {}, title));
  }

  const named = (names) => names.map((name) => [name, name]);

  /** Return the choices that lead to one of several lists of a page: direction, order, split. */
  function listChoices(page, params) {
    const of = about.lists.filter((list) => list.page === page);
    const titles = { within: "Compare", order: "Order", split: "Split" };
    return Object.entries(titles).flatMap(([name, title]) => {
      const values = [...new Set(of.map((list) => list.choice[name]))].filter((value) => value !== undefined);
      if (values.length < 2) return [];
      return [select(title, name, values.map((value) => [value, Copy.WORDS[name][value]]), params)];
    });
  }

  /** Return the filter by verdicts, if any verdict of this kind is here. */
  function verdictChoices(page, params) {
    const kind = page === "near_duplicates" ? "pair" : "label";
    if (page === "groups" || !Object.keys(verdicts[`${kind}s`]).length) return [];
    const choices = [["", "any"], ...named([...Copy.STATES, ...verdicts.kinds[kind]])];
    const reviewers = [["", "anyone"], ...named(verdicts.reviewers)];
    return [
      select("Verdict", "judged", choices, params),
      ...(verdicts.reviewers.length > 1 ? [select("Reviewer", "reviewer", reviewers, params)] : []),
    ];
  }

  /** Return all controls of a list. columns: of its rows. */
  function controls(page, columns, params) {
    const classes = [["", "any class"], ...named(about.classes)];
    const pairs = page === "near_duplicates";
    const made = [...listChoices(page, params)];
    if (page !== "labels" && page !== "failure_modes" && page !== "memorization") {
      const labels = [["", "all"], ["same", "same"], ["different", "different"]];
      made.push(select("Labels", "labels", labels, params));
    }
    made.push(select("Class", "class", classes, params));
    if (page === "labels") {
      made.push(select("Proposed class", "proposed", classes, params), toggle("Both agree", "both", params));
    }
    if (columns.crosses && Object.keys(about.counts).length > 1) {
      made.push(toggle("In both splits", "crossing", params));
    }
    if (columns.band) made.push(select("Band", "band", [["", "any"], ...named(about.bands)], params));
    const number = { inputmode: "decimal", size: 9, placeholder: "any" };
    if (pairs) made.push(field("Similarity from", "threshold", params, number));
    if (columns.aligned) made.push(field("Pixels from", "pixels_at", params, number));
    made.push(...verdictChoices(page, params));
    made.push(field("Ranks", "ranks", params, { size: 9, placeholder: "1-48" }));
    made.push(field("Example", "find", params, { size: 14, placeholder: "123 or test:123" }));
    return element("form", { class: "controls", onsubmit: (event) => event.preventDefault() }, ...made);
  }

  /** Return links to the parts of a list: first, previous, next, last. */
  function pager(page, params, pages, now) {
    if (pages < 2) return undefined;
    const to = (number, text, key) => {
      if (number < 1 || number > pages || number === now) return element("span", { class: "off" }, text);
      const href = Copy.address(page, { ...params, page: number > 1 ? String(number) : "" });
      return element("a", { href, "data-key": key }, text);
    };
    const where = element("span", {}, `${Copy.count(now)} / ${Copy.count(pages)}`);
    const links = [to(1, "« first"), to(now - 1, "‹ previous", "previous"), where];
    links.push(to(now + 1, "next ›", "next"), to(pages, "last »"));
    return element("nav", { class: "pager", "aria-label": "Parts of the list" }, ...links);
  }

  Object.assign(Copy, { controls, pager });
})();
