// One item after the other, each judged with one key (review.py). The next items are here already, so that a
// key shows the next one at once; the server learns of the verdict meanwhile (review.outbox.js).

const WAITING = "The next item is on its way. What you judged is kept here until the server has saved it.";
const RATE_OF = 20; // verdicts that the time left is reckoned from

/** The item at the place where the reviewer is; nothing while it is on its way, or after the last one. */
function current(state) {
  return state.items.get(state.at);
}

function verdictOf(state, item) {
  return state.given.has(item.name) ? state.given.get(item.name) : item.mine;
}

/** Go to a place of the queue, show it, and tell the server, which sends what comes next. */
function goTo(state, at) {
  state.at = Math.max(0, Math.min(state.data.total, at));
  show(state);
  if (state.at < state.data.first || state.at + state.data.ahead > state.last) state.outbox.send();
}

/** What every entry says of where it comes from. */
function stampOf({ data, browser }) {
  return {
    id: newId(),
    queue: data.queue,
    kind: data.kind,
    reviewer: data.reviewer,
    blind: data.blind,
    browser,
  };
}

function judge(state, verdict) {
  const item = current(state);
  if (!item) return;
  const before = state.latest.get(item.name);
  const entry = {
    ...stampOf(state),
    item: item.name,
    verdict,
    supersedes: before || item.own || "",
    note: state.root.querySelector(".note").value,
    proposed: state.data.kind === "label" ? state.root.querySelector("select").value : "",
    milliseconds: Math.round(performance.now() - state.since),
  };
  state.done.push({
    at: state.at,
    item: item.name,
    id: entry.id,
    before: verdictOf(state, item),
    own: before,
  });
  state.latest.set(item.name, entry.id);
  state.given.set(item.name, verdict);
  state.times.push(performance.now());
  goTo(state, state.at + 1);
  state.outbox.add(entry);
}

function undo(state) {
  const last = state.done.pop();
  if (!last) return;
  state.given.set(last.item, last.before);
  if (last.own) state.latest.set(last.item, last.own);
  else state.latest.delete(last.item);
  state.times.pop();
  goTo(state, last.at);
  state.outbox.add({
    ...stampOf(state),
    item: last.item,
    verdict: state.data.withdrawn,
    supersedes: last.id,
  });
}

/** How many are judged, how fast, and how long the rest takes. */
function progressOf(state) {
  const { data, times } = state;
  const recent = times.slice(-RATE_OF);
  const seconds = recent.length > 1 ? (recent.at(-1) - recent[0]) / 1000 / (recent.length - 1) : 0;
  const left = Math.max(0, data.total - state.at);
  const minutes = seconds * left / 60;
  const time = minutes < 1
    ? "less than a minute"
    : minutes < 90
    ? `${Math.round(minutes)} min`
    : `${Math.round(minutes / 60)} h`;
  const pace = seconds ? ` · ${Math.round(60 / seconds)} per minute · ${time} left` : "";
  const at = Math.min(state.at + 1, data.total);
  state.root.querySelector("meter").value = data.total ? state.at / data.total : 1;
  return `${withCommas(at)} of ${withCommas(data.total)}${pace}`;
}

function showWords(state, item) {
  const head = state.root.querySelector(".head");
  head.replaceChildren(element("b", "", item.head), element("br"), element("small", "", item.about));
  state.root.querySelector(".others").textContent = item.others;
  state.root.querySelector(".note").value = "";
  if (state.data.kind === "label") state.root.querySelector("select").value = item.proposed;
  const mine = verdictOf(state, item);
  for (const button of state.root.querySelectorAll(".verdicts button")) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === mine));
  }
  nameClasses(state, item);
}

/** Say on the buttons of a label which class each of them stands for. */
function nameClasses(state, item) {
  if (state.data.kind !== "label") return;
  const classes = { given: item.a.label, guessed: state.root.querySelector("select").value };
  for (const button of state.root.querySelectorAll(".verdicts button")) {
    const { verdict } = button.dataset;
    button.lastChild.textContent = verdict in classes ? `${verdict}: ${classes[verdict]}` : verdict;
  }
}

/** Draw the present item, or that there is none. */
function show(state) {
  const { root } = state;
  const item = current(state);
  const isDone = state.at >= state.data.total;
  root.querySelector(".item").style.visibility = item ? "" : "hidden";
  const done = root.querySelector(".done");
  done.hidden = !!item;
  done.textContent = isDone ? state.data.done : WAITING;
  root.querySelector(".progress").textContent = progressOf(state);
  for (const button of root.querySelectorAll(".verdicts button")) button.disabled = !item;
  root.querySelector("[data-tool=undo]").disabled = !state.done.length;
  root.querySelector("[data-tool=previous]").disabled = state.at === 0;
  root.querySelector("[data-tool=skip]").disabled = isDone;
  root.dataset.item = item ? item.name : "";
  if (!item) return;
  const flipped = state.flipped;
  for (const figure of root.querySelectorAll(".side")) {
    const side = figure.dataset.side === "a" && flipped && item.b ? "b" : figure.dataset.side;
    showSide(figure, item[side]);
  }
  if (!flipped) showDifference(state, item);
  showEvidence(state, item);
  showWords(state, item);
  if (state.drawn !== item.name) state.since = performance.now();
  state.drawn = item.name;
}

function flip(state) {
  state.flipped = !state.flipped;
  const item = current(state);
  if (item && item.b) showSide(state.root.querySelector("[data-side=a]"), item[state.flipped ? "b" : "a"]);
}

function buttonsOf(state) {
  return state.data.verdicts.map(({ key, verdict, words, about }) => {
    const button = element("button");
    button.type = "button";
    button.title = about;
    button.dataset.verdict = verdict;
    button.dataset.hotkey = key;
    button.append(element("kbd", "", key), words);
    button.onclick = () => {
      state.flipped = false;
      judge(state, verdict);
    };
    return button;
  });
}

function listen(state) {
  const tools = {
    flip: () => flip(state),
    previous: () => goTo(state, state.at - 1),
    skip: () => goTo(state, state.at + 1),
    undo: () => undo(state),
  };
  for (const button of state.root.querySelectorAll("[data-tool]")) {
    button.onclick = () => {
      if (button.dataset.tool !== "flip") state.flipped = false;
      tools[button.dataset.tool]();
    };
  }
  state.root.querySelector(".difference input").onchange = () => show(state);
  state.root.querySelector("select").onchange = () => nameClasses(state, current(state));
  state.root.onclick = follow;
}

/** Begin with a queue: nothing is judged yet in this window. */
function begin(root, data) {
  const state = {
    root,
    data,
    queue: data.id,
    at: data.at,
    items: new Map(),
    given: new Map(),
    latest: new Map(),
    done: [],
    times: [],
    flipped: false,
    browser: browserId(),
    last: 0,
    since: performance.now(),
  };
  return state;
}

/** Pass over what was judged here before the queue was opened anew, and is not saved yet. */
function passOver(state) {
  for (const { item, verdict, id } of state.outbox.entries) {
    if (verdict === state.data.withdrawn) state.latest.delete(item);
    else {
      state.given.set(item, verdict);
      state.latest.set(item, id);
    }
  }
  const isJudged = (item) => item && state.latest.has(item.name);
  if (isJudged(current(state))) {
    while (isJudged(current(state))) state.at += 1;
    show(state);
  }
}

/** Say which verdicts are saved, and why others are not. */
function followSaved(state) {
  const { saved, problem, judged, counts, stop } = savedBus.last ||
    { saved: [], problem: "", judged: 0, counts: "", stop: "" };
  state.outbox.forget(saved);
  const line = state.root.querySelector(".problem");
  line.hidden = !problem;
  line.textContent = problem;
  const waiting = state.outbox.entries.length;
  const words = waiting ? `${withCommas(waiting)} on the way` : "all saved";
  const said = counts ? `: ${counts}` : "";
  state.root.querySelector(".saved").textContent = `${withCommas(judged)} judged by you${said} · ${words}`;
  state.root.querySelector(".stop").textContent = stop;
  state.root.dataset.waiting = waiting;
}

/** Take more items from the server; what is drawn stays, with a note that is being written. */
function take(state, data) {
  state.data = data;
  state.last = data.first + data.items.length;
  data.items.forEach((item, i) => state.items.set(data.first + i, item));
  const item = current(state);
  if (!item || state.drawn !== item.name) show(state);
}

/** Draw what stays the same for the whole queue. */
function prepare(root, data) {
  root.querySelector(".verdicts").replaceChildren(...buttonsOf(root._state));
  root.querySelector(".proposed").hidden = data.kind !== "label";
  root.querySelector("select").replaceChildren(...data.classes.map((name) => new Option(name)));
  root.querySelector("[data-tool=flip]").hidden = data.kind === "label";
  listen(root._state);
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".review");
  applyTheme(root);
  setProperties(root, {
    "--shown-width": data.width + "px",
    "--shape": data.size[0] ? `${data.size[0]} / ${data.size[1]}` : "1",
    "--rendering": data.rendering,
    "--small": data.small + "px",
  });
  const isNew = !root._state || root._state.queue !== data.id;
  if (isNew) {
    if (root._state) root._state.outbox.close();
    const state = root._state = begin(root, data);
    state.outbox = openOutbox(data.store, (entries) => {
      state.tell({ id: data.id, queue: data.queue, at: state.at, entries });
      followSaved(state);
    });
    prepare(root, data);
  }
  const state = root._state;
  state.tell = (sent) => setStateValue("sent", sent);
  take(state, data);
  if (isNew) passOver(state);
  const onSaved = () => followSaved(state);
  onSaved();
  savedBus.addEventListener("saved", onSaved);
  giveUpRoom(root);
  return () => {
    savedBus.removeEventListener("saved", onSaved);
    state.outbox.close();
  };
}
