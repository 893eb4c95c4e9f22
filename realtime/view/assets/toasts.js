// Short notices in a corner. Errors stay until they are closed.

import { byId, make } from "./dom.js";

const SHOWN = { info: 4000, warning: 8000 }; // milliseconds
const MOST = 2;

export function toast(level, text) {
  const list = byId("toasts");
  for (const item of [...list.children]) if (item.dataset.subject === subjectOf(text)) item.remove();
  const close = make("button", { type: "button", className: "tool", ariaLabel: "Close" }, "✕");
  const item = make("div", { className: `toast ${level}` }, make("p", { title: text }, text), close);
  item.dataset.subject = subjectOf(text);
  close.addEventListener("click", () => item.remove());
  list.append(item);
  while (list.children.length > MOST) list.firstElementChild.remove();
  byId(level === "error" ? "alarmed" : "said").textContent = text;
  if (SHOWN[level]) setTimeout(() => item.remove(), SHOWN[level]);
}

/** What a notice is about: "signal is back" takes the place of "12.0 s  no signal: no picture for 2 s". */
const subjectOf = (text) => /\b(signal|segmentation|snapshot|recording)\b/.exec(text)?.[0] ?? text;
