// Which rows of a list pass its filters: the same as those of the verbs for the same filters.
(() => {
  const Copy = globalThis.Copy;
  const { about, examples } = Copy.data;
  const STATES = ["judged", "unjudged", "disputed"];

  /** Return the list that a page shows for these choices, of those that there are; or undefined. */
  function listOf(page, params) {
    const of = about.lists.filter((list) => list.page === page);
    const fits = (list) =>
      Object.entries(list.choice).every(([name, value]) => (params[name] ?? "") === value);
    return of.find(fits) ?? of[0];
  }

  /** Return whether a row's verdicts are those asked for. found: of `Copy.judged`. */
  function isJudgedSo(found, asked, reviewer) {
    if (!asked && !reviewer) return true;
    const votes = (found?.[1] ?? []).filter(([who]) => !reviewer || who === reviewer);
    if (asked === "unjudged") return !votes.length;
    if (!votes.length) return false;
    if (!asked || asked === "judged") return true;
    const said = reviewer && asked !== "disputed" ? votes[0][1] : found[0];
    return said === asked;
  }

  /** Return whether an example is the one that was typed: its index, or the beginning of its name. */
  function isFound(number, text) {
    if (/^[0-9]+$/.test(text)) return examples.index[number] === Number(text);
    return Copy.example(number).name.startsWith(text);
  }

  /** Return the least value asked for, as the values are: of single precision; undefined for none. */
  function least(text) {
    const number = Number.parseFloat(text);
    return Number.isFinite(number) ? Math.fround(number) : undefined;
  }

  const atLeast = (value, floor) =>
    floor === undefined || (value !== null && value !== undefined && Math.fround(value) >= floor);

  function passesLabels(columns, row, params) {
    const { labels, class: name, proposed } = params;
    const own = columns.labels?.[row] ?? ends(columns, row).map((number) => examples.label[number]);
    if (labels && labels !== "all" && (new Set(own).size === 1) !== (labels === "same")) return false;
    if (name && !own.some((label) => about.classes[label] === name)) return false;
    return !proposed || about.classes[columns.proposed?.[row]] === proposed;
  }

  /** Return the numbers of a row's examples that filters look at: both of a pair, else the one listed. */
  function ends(columns, row) {
    if (columns.members) return columns.members[row];
    return columns.b && !columns.probability ? [columns.a[row], columns.b[row]] : [columns.a[row]];
  }

  /** Return the verdicts on a row: of the pair, of the label, or of any pair within a group. */
  function judgedRow(page, columns, row) {
    if (page === "near_duplicates") return Copy.judged(columns.a[row], columns.b[row]);
    if (page !== "groups") return Copy.judged(columns.a[row]);
    return undefined;
  }

  /** Return the rows, in order, that pass the filters of the address. */
  function rowsOf(page, columns, params) {
    const floor = least(params.threshold);
    const pixels = least(params.pixels_at);
    const band = params.band ? about.bands.indexOf(params.band) : -1;
    const text = (params.find ?? "").trim();
    const total = (columns.a ?? columns.members).length;
    const rows = [];
    for (let row = 0; row < total; row++) {
      if (!passesLabels(columns, row, params)) continue;
      if (!atLeast(columns.value?.[row], floor) || !atLeast(columns.aligned?.[row], pixels)) continue;
      if (params.band && columns.band?.[row] !== band) continue;
      if (params.both && !columns.both_against?.[row]) continue;
      if (params.crossing && !columns.crosses?.[row]) continue;
      if (text && !ends(columns, row).some((number) => isFound(number, text))) continue;
      if (!isJudgedSo(judgedRow(page, columns, row), params.judged, params.reviewer)) continue;
      rows.push(row);
    }
    const [first, last] = (params.ranks ?? "").split(/[-–]/).map(Number);
    return first >= 1 ? rows.slice(first - 1, last >= first ? last : first) : rows;
  }

  Object.assign(Copy, { STATES, listOf, rowsOf, judgedRow });
})();
