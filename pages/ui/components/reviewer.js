// The reviewer's name, kept by the browser, so that it is asked once (review.py).

const NAME = "kernel-explorer-reviewer";

export default function ({ data, setStateValue }) {
  try {
    if (data.name) localStorage.setItem(NAME, data.name);
    else if (data.asks && localStorage.getItem(NAME)) setStateValue("name", localStorage.getItem(NAME));
  } catch { /* a private window keeps nothing */ }
}
