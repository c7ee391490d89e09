// deno-lint-ignore-file no-unused-vars -- gallery.js, which follows, uses what stands here
// The size of tiles and how they are drawn: two choices above a gallery, the same for all (look.py).

const LOOKS = {
  size: { s: "small tiles", m: "medium tiles", l: "large tiles" },
  drawn: { pixels: "pixels as squares", smooth: "smooth" },
};
const SHOWN = { s: "S", m: "M", l: "L", pixels: "pixels", smooth: "smooth" };

/** One choice: radio buttons, which are one stop for Tab. */
function choiceOf(name, title, chosen, choose) {
  const group = element("span", "choice");
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-label", title);
  for (const [value, words] of Object.entries(LOOKS[name])) {
    const label = element("label");
    const radio = element("input");
    Object.assign(radio, { type: "radio", name, value, checked: value === chosen });
    radio.setAttribute("aria-label", words);
    radio.onchange = () => choose({ [name]: value });
    label.title = words;
    label.append(radio, SHOWN[value]);
    group.append(label);
  }
  return group;
}

/** Give tiles the size and the rendering of a look. */
function dress(gallery, look) {
  const { width, height, cell, phone } = look.sizes[look.size];
  setProperties(gallery, {
    "--wide-width": width + "px",
    "--wide-height": height + "px",
    "--wide-cell": cell + "px",
    "--phone-width": phone.width + "px",
    "--phone-height": phone.height + "px",
    "--phone-cell": phone.cell + "px",
    "--rendering": look.drawn === "smooth" ? "auto" : look.rendering,
  });
}

/** Show the choices, where the gallery has any, and follow them at once; `tell` takes what was chosen. */
function showLook(bar, gallery, look, tell) {
  dress(gallery, look);
  bar.hidden = !look.offered;
  if (!look.offered) return;
  applyTheme(bar);
  const choose = (change) => {
    Object.assign(look, change);
    dress(gallery, look);
    tell({ size: look.size, drawn: look.drawn });
  };
  const shown = look.size + look.drawn;
  if (bar.dataset.shown === shown) return;
  bar.dataset.shown = shown;
  const choices = [choiceOf("size", "size of tiles", look.size, choose)];
  if (look.rendering === "pixelated") {
    choices.push(choiceOf("drawn", "how images are drawn", look.drawn, choose));
  }
  const focused = bar.getRootNode().activeElement;
  const at = focused && bar.contains(focused) ? focused.value : "";
  bar.replaceChildren(...choices);
  if (at) bar.querySelector(`[value=${at}]`).focus();
}
