// Short notices in a corner. Errors stay until they are closed.

import { byId, make } from "./dom.js";

const SHOWN = { info: 4000, warning: 8000 }; // milliseconds
const MOST = 4;

export function toast(level, text) {
  const list = byId("toasts");
  const known = [...list.children].find((item) => item.textContent === text);
  known?.remove();
  const close = make("button", { type: "button", className: "tool", ariaLabel: "Close" }, "✕");
  const item = make("div", { className: `toast ${level}` }, make("p", {}, text), close);
  close.addEventListener("click", () => item.remove());
  list.append(item);
  while (list.children.length > MOST) list.firstElementChild.remove();
  byId(level === "error" ? "alarmed" : "said").textContent = text;
  if (SHOWN[level]) setTimeout(() => item.remove(), SHOWN[level]);
}
