// The keyboard. One table says what each key does, and is what the help lists: no key is without its line.

import { byId, make } from "./dom.js";

const STORED = "rt-seg.keys";

/** `table`: rows `{keys, shown, text, act, when}`; `when` says whether the row holds now (by default always). */
export class Keys {
  #table;
  #dialog = byId("help-dialog");

  constructor(table) {
    this.#table = table;
    addEventListener("keydown", (event) => this.#press(event));
    byId("help-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.key !== "?" && event.key !== "/") return;
      event.preventDefault(); // the same press does not open it again
      this.#dialog.close();
    });
    byId("keys-on").checked = remembered() !== "off";
    byId("keys-on").addEventListener("change", (event) => remember(event.target.checked ? "on" : "off"));
  }

  help() {
    byId("help-keys").replaceChildren(...this.#table.filter((row) => row.text).map((row) => make("div", {},
      make("dt", {}, ...row.shown.map((key) => make("kbd", {}, key))), make("dd", {}, row.text))));
    this.#dialog.showModal();
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || !byId("keys-on").checked || isTyped(event)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const row = this.#table.find((each) => each.keys.includes(key) && (each.when?.() ?? true));
    if (!row) return;
    event.preventDefault();
    row.act(key);
  }
}

/** Whether the focused element needs this key itself: a slider its arrows, a button its space bar. */
function isTyped({ key, target }) {
  if (target.matches("select")) return key.length === 1 || key.startsWith("Arrow");
  if (target.matches("input")) return key === " " || key.startsWith("Arrow") || key === "Home" || key === "End";
  return target.matches("button, a") && (key === " " || key === "Enter");
}

// a browser may be told to keep nothing
function remembered() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

function remember(value) {
  try {
    localStorage.setItem(STORED, value);
  } catch {
    // then it holds for this visit
  }
}
