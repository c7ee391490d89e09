// deno-lint-ignore-file no-unused-vars -- each component's own script, which follows, uses what stands here
// The prelude of every component's script.

/** Follow an address in this session: one run of the page, one entry in the browser's history. */
function go(href) {
  const target = new URL(href, location.href);
  if (target.href === location.href) return;
  const main = document.querySelector("[data-testid=stMain]");
  // Back returns to where the page was scrolled (keys.js).
  history.replaceState({ ...history.state, scrolled: main ? main.scrollTop : 0 }, "");
  history.pushState({}, "", target);
  dispatchEvent(new PopStateEvent("popstate", { state: {} }));
}

/** Give up the room that was that page.css keeps until the component is drawn. */
function giveUpRoom(root) {
  const { host } = root.getRootNode();
  const kept = host && host.closest("[data-testid=stElementContainer]");
  if (kept) kept.dataset.drawn = "";
}

/** Handle clicks on links inside: follow a plain click, leave a modified one to the browser. */
function follow(event) {
  const link = event.target.closest && event.target.closest("a[href]");
  const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (!link || event.button || modified) return;
  event.preventDefault();
  go(link.href);
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** A tile's image, or a quiet square with its label and index where the source has labels alone. */
function pictureOf({ src, alt, label, example, differs }, className) {
  if (src) {
    const image = element("img", className);
    image.decoding = "sync";
    image.src = src;
    image.alt = alt;
    return image;
  }
  const blank = element("div", ("blank " + (className || "")).trim());
  blank.setAttribute("role", "img");
  blank.setAttribute("aria-label", alt);
  blank.append(
    element("span", "", (differs ? "≠ " : "") + label),
    element("small", "", example.split(":").pop()),
  );
  return blank;
}

/** Show an image as large as the window allows; Escape, the button and a click beside it close it. */
function enlarge(root, { src, alt, words }) {
  const dialog = element("dialog", "enlarged");
  const image = element("img");
  const close = element("form");
  const button = element("button", "", "Close");
  image.onload = () => dialog.style.setProperty("--wide", image.naturalWidth / image.naturalHeight);
  image.src = src;
  image.alt = alt;
  close.method = "dialog";
  close.append(element("span", "", words), button);
  dialog.ariaLabel = words;
  dialog.append(image, close);
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.onkeydown = (event) => event.stopPropagation();
  dialog.onclose = () => dialog.remove();
  root.append(dialog);
  dialog.showModal();
}

function setProperties(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, value);
}

/** Copy through a text field: pages under another name than localhost, without https, get no clipboard. */
function copyByHand(text) {
  const field = document.body.appendChild(element("textarea"));
  field.value = text;
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  return copied;
}

/** Put text on the clipboard; return whether the browser did. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByHand(text);
  }
}

/** Red, green and blue of a color written as #rrggbb; white where there is none. */
function rgb(color) {
  return (color.match(/[0-9a-f]{2}/gi) || ["ff", "ff", "ff"]).slice(0, 3).map((hex) => parseInt(hex, 16));
}

/** Tell theme.css whether Streamlit's theme is dark; returns the page's background as [red, green, blue]. */
function applyTheme(root) {
  const background = rgb(getComputedStyle(root).getPropertyValue("--st-background-color"));
  const dark = background[0] < 128;
  root.classList.toggle("dark", dark);
  root.classList.toggle("light", !dark);
  return background;
}

/** The bytes that Python sent as base64. */
function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

function withCommas(number) {
  return number.toLocaleString("en-US");
}

/** Shared by the map and its answers: two components, so that an answer does not send the points again. */
const bus = globalThis.__kernelExplorerMap = globalThis.__kernelExplorerMap ||
  new EventTarget();

/** Tells the review page which verdicts are saved: a component of its own, so that the items stay. */
const savedBus = globalThis.__kernelExplorerSaved = globalThis.__kernelExplorerSaved || new EventTarget();
