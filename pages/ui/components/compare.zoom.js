// deno-lint-ignore-file no-unused-vars -- compare.js, which follows, uses what stands here
// One zoom and one shift of all images of a pair (compare.js): wheel, drag, pinch, double click, buttons.

const MOST = 16; // times the whole image
const STEP = 1.5; // of the buttons
const TAP = 4; // pixels that a pointer may move and still mean a click

/** Zoom by a factor; what lies at (u, v), in shares of the frame, stays there. */
function zoomBy(root, factor, u = 0.5, v = 0.5) {
  const { zoom, x, y } = root._view;
  const to = Math.min(MOST, Math.max(1, zoom * factor));
  const times = to / zoom;
  setZoom(root, to, u - (u - x) * times, v - (v - y) * times);
}

/** Show a part of the images, which always fills the frames. x, y: of the left upper corner, at most 0. */
function setZoom(root, zoom, x, y) {
  const within = (shift) => Math.min(0, Math.max(1 - zoom, shift));
  root._view = { zoom, x: within(x), y: within(y) };
  setProperties(root, { "--zoom": zoom, "--x": root._view.x, "--y": root._view.y });
  root.classList.toggle("zoomed", zoom > 1);
}

/** Let a frame zoom and shift all images. click: what a press without movement does. */
function listenToFrame(root, frame, click) {
  const gesture = { fingers: new Map(), moved: 0 };
  frame.onwheel = (event) => {
    if (event.deltaY > 0 && root._view.zoom === 1) return; // the page scrolls
    event.preventDefault();
    zoomBy(root, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...shareOf(frame, event));
  };
  frame.onpointerdown = (event) => {
    if (event.button) return;
    gesture.fingers.set(event.pointerId, shareOf(frame, event));
    gesture.moved = gesture.fingers.size > 1 ? TAP + 1 : 0;
    frame.setPointerCapture(event.pointerId);
  };
  frame.onpointermove = (event) => shift(root, frame, gesture, event);
  frame.onpointerup = frame.onpointercancel = (event) => gesture.fingers.delete(event.pointerId);
  frame.onclick = () => {
    if (gesture.moved <= TAP) click();
  };
  frame.ondblclick = () => setZoom(root, 1, 0, 0);
}

/** Where in a frame an event took place, in shares of its width and height. */
function shareOf(frame, event) {
  const box = frame.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

/** Follow a pointer that is down, or two. */
function shift(root, frame, gesture, event) {
  const { fingers } = gesture;
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const [u, v] = shareOf(frame, event);
  gesture.moved += Math.hypot((u - before[0]) * frame.clientWidth, (v - before[1]) * frame.clientHeight);
  const apart = () => {
    const [one, other] = [...fingers.values()];
    return Math.max(0.02, Math.hypot(one[0] - other[0], one[1] - other[1]));
  };
  const from = fingers.size === 2 && apart();
  fingers.set(event.pointerId, [u, v]);
  const { zoom, x, y } = root._view;
  if (from) zoomBy(root, apart() / from, u, v);
  else setZoom(root, zoom, x + u - before[0], y + v - before[1]);
}
