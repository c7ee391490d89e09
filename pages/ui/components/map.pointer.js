// deno-lint-ignore-file no-unused-vars -- map.js, which follows, uses what stands here
// What pointer, wheel and keys do to the map (map.js).

const REACH = 14; // pixels from the pointer to the point that it means
const KEY_REACH = 60; // and from the middle of the map, when keys move it
const TAP = 4; // pixels that a pointer may move and still mean a click
const DOUBLE_CLICK = 350; // milliseconds

function listen(map) {
  const { box } = map;
  listenToPointer(map);
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    hover(map, -1);
    const speed = event.deltaMode ? 0.05 : 0.0015;
    zoom(map, Math.exp(-event.deltaY * speed), ...placeOf(map, event));
  }, { passive: false });
  box.onkeydown = (event) => press(map, event);
  box.onblur = () => {
    map.usesKeys = false;
    hover(map, -1);
    drawOverlay(map);
  };
}

/** Where in the map an event took place. */
function placeOf(map, event) {
  const box = map.box.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function listenToPointer(map) {
  const { box } = map;
  // fingers: pointer → where it was last. moved: pixels since it was put down.
  const gesture = { fingers: new Map(), moved: 0, lastTap: 0, lasso: null };
  box.onpointerdown = (event) => putDown(map, gesture, event);
  box.onpointermove = (event) => movePointer(map, gesture, event);
  box.onpointerup = box.onpointercancel = (event) => liftPointer(map, gesture, event);
  box.onpointerleave = (event) => {
    if (!gesture.fingers.size && event.pointerType !== "touch") hover(map, -1);
  };
}

function putDown(map, gesture, event) {
  if (event.button) return;
  gesture.fingers.set(event.pointerId, placeOf(map, event));
  const draws = gesture.fingers.size === 1 && (map.armed || event.shiftKey);
  gesture.lasso = draws ? [placeOf(map, event)] : null;
  // Two fingers have always moved: they never open an example.
  gesture.moved = gesture.fingers.size > 1 ? TAP + 1 : 0;
  map.box.setPointerCapture(event.pointerId);
}

/** Hover with a pointer that is up; drag with one that is down; pinch with two. */
function movePointer(map, gesture, event) {
  const { fingers } = gesture;
  const [x, y] = placeOf(map, event);
  const before = fingers.get(event.pointerId);
  map.usesKeys = false;
  if (!before) {
    if (event.pointerType !== "touch") hover(map, nearestPoint(map, x, y, REACH));
    return;
  }
  gesture.moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
  if (gesture.lasso) {
    extendLasso(map, gesture, [x, y]);
    return;
  }
  const from = fingers.size === 2 && pinchOf(fingers);
  fingers.set(event.pointerId, [x, y]);
  if (from) {
    const to = pinchOf(fingers);
    hover(map, -1);
    moveBy(map, to.x - from.x, to.y - from.y);
    zoom(map, to.width / from.width, to.x, to.y);
  } else if (gesture.moved > TAP) {
    hover(map, -1);
    moveBy(map, x - before[0], y - before[1]);
  }
}

/** A press without movement is a click: it opens a point; two beside the points show the whole map. */
function liftPointer(map, gesture, event) {
  const wasDown = gesture.fingers.delete(event.pointerId);
  if (wasDown && gesture.lasso && gesture.moved > TAP) {
    endLasso(map, gesture);
    return;
  }
  if (!wasDown || gesture.moved > TAP || event.type !== "pointerup") return;
  const i = nearestPoint(map, ...placeOf(map, event), REACH);
  const isDouble = event.timeStamp - gesture.lastTap < DOUBLE_CLICK;
  gesture.lastTap = event.timeStamp;
  if (i < 0) {
    hover(map, -1);
    if (isDouble) showWhole(map);
  } else if (event.pointerType === "touch" && map.hovered !== i) {
    // Without a mouse, the first tap shows the card and the second opens.
    hover(map, i);
  } else {
    openExample(map, i);
  }
}

/** The middle between two fingers, and how far apart they are. */
function pinchOf(fingers) {
  const [one, other] = [...fingers.values()];
  return {
    x: (one[0] + other[0]) / 2,
    y: (one[1] + other[1]) / 2,
    width: Math.max(1, Math.hypot(one[0] - other[0], one[1] - other[1])),
  };
}

function press(map, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter") {
    openExample(map, map.hovered);
    return;
  }
  if (event.key === "Escape") {
    map.usesKeys = false;
    armLasso(map, false);
    hover(map, -1);
    return;
  }
  const actions = {
    ArrowLeft: () => moveBy(map, 60, 0),
    ArrowRight: () => moveBy(map, -60, 0),
    ArrowUp: () => moveBy(map, 0, 60),
    ArrowDown: () => moveBy(map, 0, -60),
    "+": () => zoom(map, 1.4),
    "=": () => zoom(map, 1.4),
    "-": () => zoom(map, 1 / 1.4),
    "0": () => showWhole(map),
  };
  if (!Object.hasOwn(actions, event.key)) return;
  actions[event.key]();
  event.preventDefault();
  map.usesKeys = true;
  hover(map, nearestPoint(map, map.width / 2, map.height / 2, KEY_REACH));
  drawOverlay(map);
}
