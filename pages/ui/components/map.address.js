// deno-lint-ignore-file no-unused-vars -- map.js, which follows, uses what stands here
// The view of the map in the address (map.js), as in view=kernel:0.51234,0.30123,8: which map it is of, the
// middle in shares of its longer side, and how many times larger it is than the whole map. So windows of any
// size show the same middle, and another map does not take the view over.
// The browser alone writes it, without a run of the page. A choice in the page replaces the address by one
// without the view, so the view is written again after each message.

const WRITE_DELAY = 250; // milliseconds after the last movement

/** What the view shows: [x, y, zoom]. */
function spotOf(map) {
  const { scale, x, y } = map.view;
  return [(map.width / 2 - x) / scale, (map.height / 2 - y) / scale, scale / map.wholeScale];
}

/** The view that shows a spot. */
function viewAt(map, [x, y, zoom]) {
  const scale = map.wholeScale * zoom;
  return { scale, x: map.width / 2 - x * scale, y: map.height / 2 - y * scale };
}

function spotInWords(map, [x, y, zoom]) {
  return `${map.similarity}:${[x.toFixed(5), y.toFixed(5), zoom.toFixed(3)].map(Number).join(",")}`;
}

/** The spot of this map that the address names; null if it names none. */
function spotOfAddress(map) {
  const text = new URLSearchParams(location.search).get("view") || "";
  const [similarity, spot] = text.split(":");
  const numbers = (spot || "").split(",").map(Number);
  const usable = similarity === map.similarity && numbers.length === 3 &&
    numbers.every((number) => Math.abs(number) < 1e4);
  if (!usable || numbers[2] <= 0) return null;
  return [numbers[0], numbers[1], Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, numbers[2]))];
}

/** Write the view into the address once the map stands still. */
function writeSpotSoon(map) {
  clearTimeout(map.writing);
  map.writing = setTimeout(() => writeSpot(map), WRITE_DELAY);
}

function writeSpot(map) {
  clearTimeout(map.writing);
  if (!map.view || !map.width || !map.box.isConnected) return;
  const text = spotInWords(map, spotOf(map));
  const address = new URL(location.href);
  const { searchParams } = address;
  if (text === spotInWords(map, map.whole)) searchParams.delete("view");
  else searchParams.set("view", text);
  address.search = readable(searchParams.toString());
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}

/** After Back to another view of this map, show that. */
function returnToSpot(map) {
  clearTimeout(map.writing);
  if (map.pixels && map.box.isConnected) showView(map, viewAt(map, spotOfAddress(map) || map.whole));
}

/** Leave commas and colons in a query as they are. */
function readable(query) {
  return query.replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%3B", ";");
}
