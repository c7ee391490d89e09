// What pages are made of: elements, images from sheets, badges.
(() => {
  const Copy = globalThis.Copy;
  const { sheets } = Copy.data.about;

  /** Return an element. Text is always put in as text. */
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") made.className = value;
      else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== undefined && child !== ""));
    return made;
  }

  /** Return the size at which an image is drawn: a small one a whole number of times larger. */
  function sizeFor(side) {
    const scale = side / Math.max(sheets.width, sheets.height);
    const times = scale >= 1 ? Math.floor(scale) : scale;
    return [Math.round(sheets.width * times), Math.round(sheets.height * times)];
  }

  /** Return an example's picture, `side` pixels at most; without images, a field with its label. */
  function picture(number, side) {
    const said = Copy.example(number);
    if (!sheets) {
      const style = `--side:${side}px`;
      return element("span", { class: "blank", style }, element("span", {}, Copy.className(said.label)));
    }
    const [width, height] = sizeFor(side);
    const per = sheets.across ** 2;
    const place = number % per;
    const last = Copy.data.examples.index.length - 1 - (number - place);
    const across = last + 1 < sheets.across ? last + 1 : sheets.across; // a last sheet of one row is narrower
    const drawn = element("span", { class: "picture", role: "img", "aria-label": said.name });
    drawn.style.width = `${width}px`;
    drawn.style.height = `${height}px`;
    drawn.style.backgroundImage = `url("images/${Math.floor(number / per)}.webp")`;
    drawn.style.backgroundSize = `${across * width}px auto`;
    const [column, row] = [place % sheets.across, Math.floor(place / sheets.across)];
    drawn.style.backgroundPosition = `${-column * width}px ${-row * height}px`;
    drawn.style.imageRendering = width >= sheets.width && sheets.exact ? "pixelated" : "auto";
    return drawn;
  }

  /** Return an example as a link: its picture, label and name. tab: whether the Tab key stops there too. */
  function tile(number, href, { side = 96, differs = false, tab = true } = {}) {
    const said = Copy.example(number);
    const label = element("b", {}, Copy.className(said.label));
    const caption = element("span", { class: "caption" }, label, element("small", {}, said.name));
    const classes = `tile${differs ? " differs" : ""}`;
    return element(
      "a",
      { class: classes, href, tabindex: tab ? undefined : "-1" },
      picture(number, side),
      caption,
    );
  }

  /** Return a badge for the verdicts on something; undefined where there are none. */
  function badge(found) {
    if (!found) return undefined;
    const [said, votes] = found;
    const proposed = new Set(votes.map((vote) => vote[2]).filter(Boolean));
    const what = said === "guessed" && proposed.size === 1 ? `${said}: ${[...proposed][0]}` : said;
    const mark = said === "disputed" ? "?" : "✓";
    const more = votes.length > 1 ? ` · ${votes.length}` : "";
    const title = `judged ${Copy.inWords(found)}`;
    return element("em", { class: "badge judged", title }, `${mark} ${what}${more}`);
  }

  /** Return the band of a pair as a badge. */
  function bandBadge(columns, row) {
    const band = Copy.data.about.bands[columns.band?.[row]];
    const strength = ["strong", "middle", ""][columns.band?.[row]] ?? "";
    return band ? element("em", { class: `badge ${strength}` }, band) : undefined;
  }

  Object.assign(Copy, { element, picture, tile, badge, bandBadge });
})();
