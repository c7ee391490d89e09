// The map (map.py): points written into the pixels of a canvas, without GPU or WebGL. Its parts are map.*.js.

/** Take in the choices of the address and the card of a point. */
function receive(map) {
  const { message } = bus;
  if (!message || message.id !== map.id || !map.pixels) return; // no size yet: `measure` comes again
  if (message.choice !== map.choice) {
    map.choice = message.choice;
    map.only = message.only;
    map.show = message.show;
    map.markLegend();
    redraw(map);
  }
  takeMarks(map, message.marks);
  if (message.selected !== map.selected) select(map, message.selected);
  const { answer } = message;
  if (answer && !map.answers.has(answer.point)) map.answers.set(answer.point, answer);
  if (answer && answer.point === map.hovered && map.card.hidden) {
    showCard(map, answer);
    drawOverlay(map);
  }
  writeSpotSoon(map);
}

/** Mark the example of the address; bring it to the middle unless the address says where to look. */
function select(map, point) {
  map.selected = point;
  if (point >= 0 && !spotOfAddress(map)) setView(map, viewAt(map, [map.x[point], map.y[point], 8]));
  redraw(map);
}

function newState(root) {
  const find = (selector) => root.querySelector(selector);
  return {
    box: find(".view"),
    points: find(".points"),
    overlay: find(".overlay"),
    card: find(".card"),
    legend: find(".legend"),
    lassoButton: find(".lasso"),
    selection: find(".selection"),
    marksText: "",
    markedPoints: new Int32Array(),
    answers: new Map(),
    moving: false,
    wholeMs: 0,
    hovered: -1,
    selected: -1,
    only: -1,
    show: "both",
  };
}

/** Colors and type of the page's theme, as the canvases need them. */
function takeTheme(map, root, data) {
  const background = applyTheme(root);
  const style = getComputedStyle(root);
  Object.assign(map, {
    paper: pixelOf(background),
    paperColor: `rgb(${background})`,
    faint: pixelOf(root.classList.contains("dark") ? [90, 96, 106] : [190, 194, 200]),
    ink: style.color,
    font: style.fontFamily,
    names: data.names,
    palette: data.palette,
    colors: Uint32Array.from(data.palette, (color) => pixelOf(rgb(color))),
  });
  setProperties(root, {
    "--large-width": data.width + "px",
    "--large-height": data.height + "px",
    "--small-width": data.small[0] + "px",
    "--small-height": data.small[1] + "px",
    "--rendering": data.rendering,
  });
}

/** Take in another map: its points, legend and handlers. */
function replaceMap(map, root, data) {
  unpack(map, data);
  map.view = null;
  map.wholeMs = map.count / 15000; // until it is measured
  map.width = 0;
  map.answers.clear();
  map.selected = -1;
  mark(map, "", null, "");
  buildLegend(map);
  listen(map);
  map.box.setAttribute("aria-label", data.label);
  root.querySelector(".zoom-in").onclick = () => zoom(map, 1.6);
  root.querySelector(".zoom-out").onclick = () => zoom(map, 1 / 1.6);
  root.querySelector(".whole").onclick = () => showWhole(map);
  map.lassoButton.onclick = () => armLasso(map, !map.armed);
  root.querySelector(".all-in-view").onclick = () => selectAllInView(map);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".map");
  const map = root._state ??= newState(root);
  takeTheme(map, root, data);
  map.ask = (point) => setTriggerValue("hover", point);
  map.tellChoice = (choice) => setTriggerValue("choice", choice);
  if (map.id !== data.id) replaceMap(map, root, data);
  giveUpRoom(root);
  measure(map);
  receive(map);
  redraw(map);

  const onMessage = () => receive(map);
  const watch = new ResizeObserver(() => {
    measure(map);
    receive(map);
  });
  if (map.stop) map.stop();
  const onReturn = () => returnToSpot(map);
  addEventListener("popstate", onReturn);
  bus.addEventListener("message", onMessage);
  watch.observe(map.box);
  map.stop = () => {
    removeEventListener("popstate", onReturn);
    bus.removeEventListener("message", onMessage);
    watch.disconnect();
    clearTimeout(map.dwell);
    clearTimeout(map.resting);
    cancelAnimationFrame(map.filling);
    clearTimeout(map.writing);
  };
  return map.stop;
}
