// deno-lint-ignore-file no-unused-vars -- review.js, which follows, uses what stands here
// The images of one item (review.js): the two sides, their difference, the nearest of both classes.

const AMPLIFIED = 4; // times, of the difference

function showSide(figure, side) {
  figure.hidden = !side;
  if (!side) return;
  const link = figure.querySelector("a");
  figure.querySelector("img, .blank").replaceWith(
    side.src
      ? Object.assign(element("img"), { src: side.src, alt: side.alt, decoding: "sync" })
      : pictureOf({ ...side, example: side.name }),
  );
  link.href = side.href;
  link.textContent = side.words;
}

function showDifference(state, item) {
  const figure = state.root.querySelector(".difference");
  figure.hidden = !item.b || !item.a.src;
  const canvas = figure.querySelector("canvas");
  if (figure.hidden || !figure.querySelector("input").checked) {
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  const images = [...state.root.querySelectorAll(".side img")];
  Promise.all(images.map((image) => image.decode())).then(() => {
    if (current(state) !== item) return;
    const [width, height] = state.data.size;
    Object.assign(canvas, { width, height });
    const [a, b] = images.map((image) => pixelsOf(image, width, height));
    paint(canvas, a, b, { mode: "absolute", amplify: AMPLIFIED });
  }).catch(() => {}); // an image that was replaced meanwhile
}

function showEvidence(state, item) {
  state.root.querySelector(".evidence").replaceChildren(...(item.groups || []).map((group) => {
    const box = element("div");
    box.append(element("span", "", group.title), ...group.tiles.map((tile) => pictureOf(tile)));
    return box;
  }));
}
