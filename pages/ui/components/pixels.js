// deno-lint-ignore-file no-unused-vars -- the component that follows uses what stands here
// The pixels of two images laid over each other: one after the other, faded, or subtracted.

/** An image's pixels, mirrored and moved by an alignment; what it does not cover is transparent. */
function pixelsOf(image, width, height, alignment) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  if (alignment) {
    context.translate(alignment.dx, alignment.dy);
    if (alignment.mirrored) {
      context.translate(width, 0);
      context.scale(-1, 1);
    }
  }
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// Mode → one channel of the result from that of A and of B, 0 to 255.
const COMBINE = {
  flip: (a, b, state) => state.second ? b : a,
  overlay: (a, b, state) => a + (b - a) * state.mix / 100,
  absolute: (a, b, state) => Math.abs(a - b) * state.amplify,
  signed: (a, b, state) => 127.5 + (b - a) / 2 * state.amplify,
};
const UNCOVERED = 40; // opacity, of 255, where B does not cover A

function paint(canvas, a, b, state) {
  const result = new ImageData(canvas.width, canvas.height);
  const combine = COMBINE[state.mode];
  const showsOneAlone = state.mode === "flip" || state.mode === "overlay";
  for (let i = 0; i < result.data.length; i += 4) {
    const covered = b.data[i + 3] > 0 || (state.mode === "flip" && !state.second);
    for (let c = i; c < i + 3; c++) {
      result.data[c] = covered || showsOneAlone ? combine(a.data[c], b.data[c], state) : 0;
    }
    result.data[i + 3] = covered ? 255 : UNCOVERED;
  }
  canvas.getContext("2d").putImageData(result, 0, 0);
}
