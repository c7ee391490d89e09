// deno-lint-ignore-file no-unused-vars -- review.js, which follows, uses what stands here
// Verdicts that the server has not said are saved. They are kept in the browser until it does, so that a
// stopped server, a lost connection or a page loaded anew lose none. Each has its id from here, so that one
// that is sent twice is written once.

const AGAIN = 4000; // milliseconds until what is not saved yet is sent again

/** Whatever the browser keeps under a name; nothing where it keeps nothing, as in some private windows. */
function kept(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? fallback;
  } catch {
    return fallback;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch { /* the page still holds it */ }
}

function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** The mark of this browser, by which two people of one name are told apart. */
function browserId() {
  const known = kept("kernel-explorer-browser", "");
  if (known) return known;
  const made = newId();
  keep("kernel-explorer-browser", made);
  return made;
}

/** Open the outbox of a queue. tell: sends all of it to the server. */
function openOutbox(name, tell) {
  const outbox = { entries: kept(name, []), tell, timer: 0 };
  outbox.send = () => {
    clearTimeout(outbox.timer);
    outbox.tell(outbox.entries);
    if (outbox.entries.length) outbox.timer = setTimeout(outbox.send, AGAIN);
  };
  outbox.add = (entry) => {
    outbox.entries.push(entry);
    keep(name, outbox.entries);
    outbox.send();
  };
  outbox.forget = (ids) => {
    const gone = new Set(ids);
    const left = outbox.entries.filter((entry) => !gone.has(entry.id));
    if (left.length < outbox.entries.length) {
      outbox.entries = left;
      keep(name, left);
    }
    if (!left.length) clearTimeout(outbox.timer);
  };
  outbox.close = () => clearTimeout(outbox.timer);
  if (outbox.entries.length) outbox.timer = setTimeout(outbox.send, 0);
  return outbox;
}
