// Copies the page's address (copy_link.py).

const SAID_FOR = 4000; // milliseconds that "copied" stays

export default function ({ parentElement }) {
  const root = parentElement.querySelector(".copying");
  const said = root.querySelector("[role=status]");
  applyTheme(root);
  root.querySelector("button").onclick = async (event) => {
    const done = await copied(location.href);
    event.target.focus?.();
    said.textContent = done ? "Copied" : "The browser refused; copy the address bar.";
    clearTimeout(root._timer);
    root._timer = setTimeout(() => said.textContent = "", SAID_FOR);
  };
}
