// The map (map.py): points written into the pixels of a canvas, without GPU or WebGL. Its parts are map.*.js.

/** Take in the choices of the address and the card of a point. */
function receive(map) {
  const { message } = bus;
  if (!message || message.id !== map.id || !map.pixels) return; // no size yet: `measure` comes again
  if (message.choice !== map.choice) {
    map.choice = message.choice;
    map.only = message.only;
    map.show = message.show;
    map.mark();
    redraw(map);
  }
  if (message.selected !== map.selected) select(map, message.selected);
  const { answer } = message;
  if (answer && !map.answers.has(answer.point)) map.answers.set(answer.point, answer);
  if (answer && answer.point === map.hovered && map.card.hidden) {
    showCard(map, answer);
    drawOverlay(map);
  }
}

/** Mark the example of the address; bring it to the middle the first time. */
function select(map, point) {
  map.selected = point;
  const centered = map.id + ":" + point;
  if (point >= 0 && bus.centered !== centered) {
    bus.centered = centered;
    const scale = map.wholeScale * 8;
    setView(map, {
      scale,
      x: map.width / 2 - map.x[point] * scale,
      y: map.height / 2 - map.y[point] * scale,
    });
  }
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
    answers: new Map(),
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
function replaceMap(map, root, data, tellChoice) {
  unpack(map, data);
  map.view = null;
  map.width = 0;
  map.answers.clear();
  buildLegend(map, tellChoice);
  listen(map);
  map.box.setAttribute("aria-label", data.label);
  root.querySelector(".zoom-in").onclick = () => zoom(map, 1.6);
  root.querySelector(".zoom-out").onclick = () => zoom(map, 1 / 1.6);
  root.querySelector(".whole").onclick = () => setView(map, wholeView(map));
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".map");
  const map = root._state ??= newState(root);
  takeTheme(map, root, data);
  map.ask = (point) => setTriggerValue("hover", point);
  if (map.id !== data.id) replaceMap(map, root, data, (choice) => setTriggerValue("choice", choice));
  measure(map);
  receive(map);
  redraw(map);

  const onMessage = () => receive(map);
  const watch = new ResizeObserver(() => {
    measure(map);
    receive(map);
  });
  if (map.stop) map.stop();
  bus.addEventListener("message", onMessage);
  watch.observe(map.box);
  map.stop = () => {
    bus.removeEventListener("message", onMessage);
    watch.disconnect();
    clearTimeout(map.dwell);
  };
  return map.stop;
}
