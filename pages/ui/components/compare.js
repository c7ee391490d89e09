// Two images on one canvas (compare.py): flipped, faded into each other, or subtracted, without the server.

function captionOf(state, data) {
  const aligned = state.aligned ? ", aligned" : "";
  const amplified = state.amplify > 1 ? `, amplified ${state.amplify} times` : "";
  switch (state.mode) {
    case "flip":
      return "shows " + (state.second ? "B: " + data.b.name + aligned : "A: " + data.a.name);
    case "overlay":
      return `${Math.round(100 - state.mix)}% A, ${Math.round(state.mix)}% B${aligned}`;
    case "absolute":
      return `|B − A|${amplified}${aligned}; black is equal`;
    default:
      return `(B − A) / 2${amplified}${aligned}; grey is equal`;
  }
}

function draw(root, data) {
  const state = root._state;
  const canvas = root.querySelector("canvas");
  const [width, height] = data.size;
  canvas.width = width;
  canvas.height = height;
  const images = [...root.querySelectorAll(".side img")];
  if (!images.every((image) => image.complete && image.naturalWidth)) return;
  const a = pixelsOf(images[0], width, height);
  const b = pixelsOf(images[1], width, height, state.aligned && data.align);
  paint(canvas, a, b, state);
  canvas.dataset.shows = state.mode === "flip" ? (state.second ? "b" : "a") : state.mode;
  root.querySelector(".caption").textContent = captionOf(state, data);
  for (const button of root.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === state.mode));
  }
  root.querySelector(".mix").hidden = state.mode !== "overlay";
  root.querySelector(".amplify").hidden = state.mode !== "absolute" && state.mode !== "signed";
}

/** Fill in one of the two: its image, and its name, which is a link to its page. */
function showSide(figure, side, whenLoaded) {
  const image = figure.querySelector("img");
  const link = figure.querySelector("a");
  link.href = side.href;
  link.title = side.alt;
  image.alt = side.alt;
  image.onload = whenLoaded;
  if (image._shown !== side.src) {
    image._shown = side.src;
    image.src = side.src;
  }
  link.textContent = wordsOf(figure.dataset.side, side);
}

function wordsOf(letter, side) {
  return `${letter.toUpperCase()}: ${side.name} · ${side.label}`;
}

/** Show A, B, or both as they are laid over each other, as large as the window allows. */
function enlargeOne(root, data, which) {
  const canvas = root.querySelector("canvas");
  const caption = root.querySelector(".caption").textContent;
  const both = { src: canvas.toDataURL(), alt: caption, words: caption };
  enlarge(root, which === "both" ? both : { ...data[which], words: wordsOf(which, data[which]) });
}

function listen(root, data, redraw) {
  const state = root._state;
  const set = (change) => {
    Object.assign(state, change, { chosen: true });
    redraw();
  };
  // The first press of Flip shows what was shown last; each further one turns it over.
  const flip = () => set({ second: state.mode === "flip" ? !state.second : state.second, mode: "flip" });
  for (const frame of root.querySelectorAll(".frame")) {
    const which = frame.dataset.frame;
    // An image that is zoomed waits for the second click, which shows the whole again.
    const click = () => root._view.zoom === 1 && enlargeOne(root, data, which);
    listenToFrame(root, frame, which === "both" ? flip : click);
  }
  for (const button of root.querySelectorAll(".enlarge")) {
    button.onclick = () => enlargeOne(root, data, button.dataset.enlarge);
  }
  root.querySelector(".zoom-in").onclick = () => zoomBy(root, STEP);
  root.querySelector(".zoom-out").onclick = () => zoomBy(root, 1 / STEP);
  root.querySelector(".reset").onclick = () => setZoom(root, 1, 0, 0);
  for (const button of root.querySelectorAll("[data-mode]")) {
    button.onclick = button.dataset.mode === "flip" ? flip : () => set({ mode: button.dataset.mode });
  }
  root.querySelector(".mix input").oninput = (event) => set({ mix: +event.target.value });
  root.querySelector("select").onchange = (event) => set({ amplify: +event.target.value });
  root.querySelector(".align input").onchange = (event) => set({ aligned: event.target.checked });
  root.onclick = follow;
}

/** Another pair: begin with its first, whole, and in the mode that suits it unless one was chosen. */
function begin(root, data) {
  const state = root._state;
  state.second = false;
  setZoom(root, 1, 0, 0);
  if (!state.chosen) Object.assign(state, data.start);
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".comparison");
  const state = root._state ??= { second: false, mix: 50, chosen: false };
  const redraw = () => draw(root, data);
  applyTheme(root);
  setProperties(root, {
    "--shown-width": data.width + "px",
    "--shape": `${data.width} / ${data.height}`,
    "--rendering": data.rendering,
  });
  const pair = data.a.name + data.b.name;
  if (root._pair !== pair) {
    root._pair = pair;
    begin(root, data);
  }
  for (const side of root.querySelectorAll(".side")) showSide(side, data[side.dataset.side], redraw);
  const align = root.querySelector(".align input");
  root.querySelector(".align span").textContent = data.aligned;
  align.disabled = !data.align;
  align.checked = state.aligned && !!data.align;
  root.querySelector("select").value = String(state.amplify);
  listen(root, data, redraw);
  redraw();
  giveUpRoom(root);
}
