// The controls: what is changed here is asked of the server, and what the server says is shown, so that all clients see
// the same. A slider under the finger is not pulled away by the answer to its last step.

import { byId, make, setIcon, write } from "./dom.js";
import { percent } from "./format.js";

const QUIET = 400; // milliseconds after the last own step in which answers wait
const SEND_EVERY = 80;
const KEY_STEP = 0.05; // of threshold and opacity, as in the window
const MIN_FRAMES = ["1/1", "2/2", "2/3", "3/5", "5/8", "8/12"];
const SLIDERS = { alpha: percent, threshold: (value) => value.toFixed(2) };
const USES_ALPHA = new Set(["fill", "heatmap"]);

export class Controls {
  #send;
  #values = {};
  #limits = {};
  #touched = {};
  #later = {};

  /** `send` gives a message to the server. */
  constructor(send) {
    this.#send = send;
    for (const name of ["overlay", "stabilise"]) {
      byId(name).addEventListener("change", (event) => this.set({ [name]: event.target.value }));
    }
    for (const name of Object.keys(SLIDERS)) {
      byId(name).addEventListener("input", (event) => this.#slide(name, Number(event.target.value)));
    }
    byId("min-frames").addEventListener("change", (event) => this.set({ min_frames: event.target.value }));
    byId("hud").addEventListener("click", () => this.toggle("hud"));
    byId("pause").addEventListener("click", () => this.toggle("paused"));
    byId("record").addEventListener("click", () => this.toggle("recording"));
    byId("snapshot").addEventListener("click", () => this.snapshot());
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
  }

  /** What a server admits: ranges `[low, high, step]`, values to choose from, and what it can do. */
  limit(limits = {}) {
    this.#limits = limits;
    for (const name of Object.keys(SLIDERS)) {
      if (limits[name]) [byId(name).min, byId(name).max, byId(name).step] = limits[name];
    }
    const can = limits.can ?? {};
    byId("record").disabled = can.record === false;
    byId("snapshot").disabled = can.snapshot === false;
    byId("pause").disabled = can.pause === false;
  }

  /** Whether they can be used. */
  enable(enabled) {
    byId("fields").disabled = !enabled;
  }

  /** The server says how they stand. */
  take(values) {
    this.#values = { ...this.#values, ...values };
    this.#show();
  }

  set(change) {
    this.#values = { ...this.#values, ...change }; // two presses of a key are two steps, before the first is answered
    this.#send({ type: "set", ...change });
    this.#show();
  }

  toggle(name) {
    if (!this.#can(name)) return;
    this.set({ [name]: !this.#values[name] });
  }

  /** The next of the values to choose from, and around. */
  next(name) {
    const choices = name === "min_frames"
      ? [...byId("min-frames").options].map((option) => option.value)
      : [...byId(name).querySelectorAll("input:not(:disabled)")].map((input) => input.value);
    this.set({ [name]: choices[(choices.indexOf(this.#values[name]) + 1) % choices.length] });
  }

  /** Move a slider up (1) or down (-1). */
  step(name, way) {
    const slider = byId(name);
    if (slider.disabled) return;
    const value = Number(this.#values[name]) + way * KEY_STEP;
    this.set({ [name]: Number(Math.min(Math.max(value, Number(slider.min)), Number(slider.max)).toFixed(3)) });
  }

  snapshot() {
    if (!byId("snapshot").disabled) this.#send({ type: "do", action: "snapshot" });
  }

  #can(name) {
    const button = { paused: "pause", recording: "record", hud: "hud" }[name];
    return !byId(button).disabled;
  }

  /** Tell the server of a slider's way, but not of every pixel of it. */
  #slide(name, value) {
    this.#touched[name] = performance.now();
    this.#values[name] = value;
    this.#output(name, value);
    if (this.#later[name]) return;
    this.#later[name] = setTimeout(() => {
      this.#later[name] = null;
      this.set({ [name]: Number(byId(name).value) });
      setTimeout(() => this.#show(), QUIET);
    }, SEND_EVERY);
  }

  #show() {
    const values = this.#values;
    this.#check("overlay", values.overlay);
    this.#check("stabilise", values.stabilise);
    for (const name of Object.keys(SLIDERS)) this.#showSlider(name, values[name]);
    this.#showMinFrames(values.min_frames);
    byId("alpha").disabled = !USES_ALPHA.has(values.overlay);
    byId("hud").setAttribute("aria-checked", String(Boolean(values.hud)));
    byId("pause").setAttribute("aria-pressed", String(Boolean(values.paused)));
    write(byId("pause").querySelector("span"), values.paused ? "Go on" : "Pause");
    setIcon(byId("pause-icon"), values.paused ? "play" : "pause");
    byId("record").setAttribute("aria-pressed", String(Boolean(values.recording)));
    write(byId("record").querySelector("span"), values.recording ? "Stop" : "Record");
  }

  #check(name, value) {
    for (const input of byId(name).querySelectorAll("input")) input.checked = input.value === value;
  }

  #showSlider(name, value) {
    if (typeof value !== "number" || performance.now() - (this.#touched[name] ?? -QUIET) < QUIET) return;
    byId(name).value = value;
    this.#output(name, value);
  }

  #output(name, value) {
    write(byId(`${name}-value`), SLIDERS[name](value));
    byId(name).setAttribute("aria-valuetext", SLIDERS[name](value));
  }

  #showMinFrames(value) {
    if (!value) return;
    const select = byId("min-frames");
    const most = this.#limits.min_frames_most ?? Infinity;
    const choices = MIN_FRAMES.filter((choice) => Number(choice.split("/")[1]) <= most);
    if (!choices.includes(value)) choices.push(value);
    if (choices.join() !== [...select.options].map((option) => option.value).join()) {
      select.replaceChildren(...choices.map((choice) => make("option", { value: choice }, inWords(choice))));
    }
    select.value = value;
  }
}

function inWords(choice) {
  const [needed, window] = choice.split("/");
  return choice === "1/1" ? "1 frame" : `${needed} of ${window} frames`;
}
