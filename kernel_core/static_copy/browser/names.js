// Examples, classes and numbers as people read them.
(() => {
  const Copy = globalThis.Copy;
  const { about, examples, verdicts } = Copy.data;
  const SPLITS = ["train", "test"];

  /** Return what is known of an example by its number. */
  function example(number) {
    const split = SPLITS[examples.split[number]];
    return {
      number,
      split,
      index: examples.index[number],
      name: `${split}:${examples.index[number]}`,
      label: examples.label[number],
      predicted: examples.predicted[number],
      confidence: examples.confidence[number],
    };
  }

  const numbers = new Map();

  /** Return the number of an example called as test:12; undefined if the copy does not have it. */
  function numberOf(name) {
    if (!numbers.size) examples.index.forEach((_, number) => numbers.set(example(number).name, number));
    return numbers.get(name);
  }

  const className = (label) => about.classes[label] ?? "–";
  const count = (number) => number.toLocaleString("en-US");
  const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
  const value = (number) => number === null || number === undefined ? "–" : number.toFixed(3);
  const percent = (share) => share === null || share === undefined ? "–" : `${Math.round(share * 100)}%`;

  /** Return the verdicts on a pair, or on an example's label: what in all, and by whom; or undefined. */
  function judged(a, b) {
    if (b === undefined) return verdicts.labels[a];
    return verdicts.pairs[a < b ? `${a}-${b}` : `${b}-${a}`];
  }

  /** Return verdicts in words: exact by Ann, Bob; different by Cy. */
  function inWords([, votes]) {
    const by = new Map();
    for (const [who, verdict, proposed] of votes) {
      const what = verdict + (proposed ? ` (${proposed})` : "");
      by.set(what, [...(by.get(what) ?? []), who]);
    }
    return [...by].map(([what, names]) => `${what} by ${names.join(", ")}`).join("; ");
  }

  // Choice that leads to a list → its value → how people read it.
  const WORDS = {
    within: { "": "test → train", test: "within test", train: "within train" },
    order: { "": "similarity", twin: "twin score" },
    split: { "": "test", train: "train" },
  };

  /** Return what tells a list from the others of its page; empty for the default one. */
  function choiceWords(list) {
    const words = Object.entries(list.choice).map(([name, value]) => value && WORDS[name][value]);
    return words.filter(Boolean).join(", ");
  }

  Object.assign(Copy, {
    WORDS,
    choiceWords,
    example,
    numberOf,
    className,
    count,
    plural,
    value,
    percent,
    judged,
    inWords,
  });
})();
