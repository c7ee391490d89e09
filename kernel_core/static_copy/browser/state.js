// The address behind # holds the page and its choices. Data come as scripts: from disk, nothing else is read.
// because a page that was opened from disk may not read files.
(() => {
  const data = {};
  const asked = {};

  /** Take the content of a file of data; the file calls this. */
  function take(name, content) {
    data[name] = content;
  }

  /** Load a file of data once; resolve with its content. */
  function load(name) {
    asked[name] ??= new Promise((resolve, reject) => {
      if (data[name]) return resolve(data[name]);
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onload = () => resolve(data[name]);
      script.onerror = () => reject(new Error(`data/${name}.js is missing: copy the whole folder.`));
      document.head.append(script);
    });
    return asked[name];
  }

  /** Return the page and the choices that the address holds. */
  function read() {
    const [page, query = ""] = location.hash.slice(1).split("?");
    return { page: page || "overview", params: Object.fromEntries(new URLSearchParams(query)) };
  }

  /** Return the address of a page with choices; empty ones are left out. */
  function address(page, params) {
    const kept = Object.entries(params).filter(([, value]) => value !== "" && value !== undefined);
    const query = new URLSearchParams(kept).toString();
    return `#${page}${query ? `?${query}` : ""}`;
  }

  /** Change choices of the page that is shown. replace: in the same entry of the history. */
  function choose(changes, { replace = false } = {}) {
    const { page, params } = read();
    const next = address(page, { ...params, page: "", ...changes });
    if (replace) {
      history.replaceState(null, "", next);
      globalThis.Copy.draw();
    } else {
      location.hash = next;
    }
  }

  globalThis.Copy = { data, take, load, read, address, choose };
})();
