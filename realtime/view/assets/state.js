// What the stream is doing, in words, a shape and a colour. Whatever is on the screen and is not the present is veiled:
// an old picture must never be taken for the live one.

import { byId, setIcon, write } from "./dom.js";
import { clock } from "./format.js";

const LATE = 1500; // milliseconds without a new picture, while the server says that there are some

const BRIEF = 500; // milliseconds

// `veil`: the picture shown is not the present. `say`: used where the server has no message of its own.
const STATES = {
  connecting: { label: "Connecting", level: "idle", icon: "connecting", veil: true, say: "" },
  starting: { label: "Starting", level: "idle", icon: "connecting", veil: true, say: "Waiting for the first picture" },
  lost: { label: "Connection lost", level: "alarm", icon: "lost", veil: true, say: "" },
  late: { label: "No new picture", level: "alarm", icon: "clock", veil: true, say: "" },
  live: { label: "Live", level: "calm", icon: "live", say: "" },
  stale: { label: "Mask withheld", level: "caution", icon: "clock", say: "It is too old for this picture" },
  no_signal: { label: "No signal", level: "alarm", icon: "no-signal", veil: true, say: "The source sends no picture" },
  frozen: { label: "Picture frozen", level: "caution", icon: "frozen", say: "Nothing moves" },
  black: { label: "Picture black", level: "caution", icon: "black", say: "Nothing can be assessed" },
  unassessable: { label: "Cannot assess", level: "caution", icon: "eye-off", say: "The picture is too poor" },
  unavailable: { label: "No segmentation", level: "alarm", icon: "warning", say: "The picture goes on unmarked" },
  paused: { label: "Paused", level: "idle", icon: "pause", say: "" },
  ended: { label: "Ended", level: "idle", icon: "ended", say: "" },
  played: { label: "Recording", level: "idle", icon: "play", say: "The stream has ended" },
};

// what the server says of these is their label again
const NO_NEWS = new Set(
  ["", "segmenting", "no signal", "segmentation unavailable", "picture black", "picture frozen", "mask withheld: too old"],
);

const STOPPED = "recording stopped"; // has a place of its own

const MOVING = new Set(["live", "stale", "black", "unassessable", "unavailable"]);

const BLIND = new Set(["connecting", "starting", "lost", "late", "no_signal", "unavailable"]); // nothing is found in these

export class StateView {
  #said = null;
  #staleSince = null;

  constructor() {
    this.connection = "connecting"; // or "lost", or "open"
    this.reason = "";
    this.wait = 0;
    this.state = null; // the server's newest message of type state
  }

  /** A server says hello. */
  reset() {
    this.state = this.#staleSince = null;
  }

  /** The server says how the stream stands. A mask that is late for a moment is nothing to look up for. */
  take(message) {
    this.#staleSince = message.state === "stale" ? this.#staleSince ?? performance.now() : null;
    const brief = message.state === "stale" && performance.now() - this.#staleSince < BRIEF;
    this.state = brief ? { ...message, state: "live", message: "" } : message;
  }

  /** Which of `STATES` holds; `shownAt` is when the last picture was drawn, null if none was. */
  current(shownAt) {
    if (this.connection !== "open") return this.connection;
    if (this.state === null) return "connecting";
    const state = this.state.state;
    if (!MOVING.has(state)) return state;
    if (shownAt === null) return "starting";
    return performance.now() - shownAt > LATE && !document.hidden ? "late" : state;
  }

  /** Whether what is shown is the present. */
  isPresent(shownAt) {
    return MOVING.has(this.current(shownAt));
  }

  /** Whether pictures come and are segmented. */
  isSeeing(shownAt) {
    return !BLIND.has(this.current(shownAt));
  }

  /** Show it. `picture`: what is drawn; `playing`: a recording is in its place. */
  show(picture, playing) {
    const now = this.current(picture.shownAt);
    const name = now === "ended" && playing ? "played" : now;
    const state = STATES[name] ?? { label: name, level: "caution", icon: "warning", say: "" };
    const message = this.#message(name, state);
    document.body.dataset.level = state.level;
    document.body.dataset.state = name;
    write(byId("state-label"), state.label);
    write(byId("state-message"), message);
    setIcon(byId("state-icon"), state.icon);
    this.#veil(name, state, message);
    this.#hold(name, picture.seconds);
    this.#recording();
    this.#announce(name, state, message);
  }

  #message(name, state) {
    if (name === "lost") return this.reason || "";
    if (name === "late") return "The one on the screen is old";
    if (["connecting", "starting", "paused", "played"].includes(name)) return state.say;
    const [first, ...others] = (this.state?.message ?? "").split("; ").filter((text) => text !== STOPPED);
    return [NO_NEWS.has(first) ? state.say : first, ...others].filter(Boolean).join("; ");
  }

  #veil(name, state, message) {
    const veiled = Boolean(state.veil);
    byId("cover").hidden = !veiled;
    document.body.toggleAttribute("data-covered", veiled);
    byId("retry").hidden = name !== "lost";
    if (!veiled) return;
    setIcon(byId("cover-icon"), state.icon);
    write(byId("cover-title"), state.label);
    write(byId("cover-text"), name === "lost" ? [this.reason, this.#attempt()].filter(Boolean).join(". ") : message);
  }

  #attempt() {
    return this.wait > 0 ? `Trying again in ${this.wait} s` : "Trying again";
  }

  #hold(name, seconds) {
    const held = name === "paused";
    byId("held").hidden = !held;
    document.body.toggleAttribute("data-old", held || name === "played");
    if (held) write(byId("held"), seconds === null ? "Picture held" : `Picture held at ${clock(seconds)}`);
  }

  /** That pictures are recorded, or no longer are, is said only as long as the server says it. */
  #recording() {
    const now = this.connection === "open" && this.state?.state !== "ended" ? this.state : null;
    const stopped = (now?.message ?? "").split("; ").includes(STOPPED);
    byId("rec").hidden = !now?.recording || stopped;
    byId("rec-stopped").hidden = !stopped;
  }

  #announce(name, state, message) {
    const text = message ? `${state.label}. ${message}` : state.label;
    if (name === this.#said) return;
    this.#said = name;
    const alarm = state.level === "alarm";
    write(byId(alarm ? "alarmed" : "said"), text);
    if (!alarm) write(byId("alarmed"), "");
    document.title = `${state.label} · rt-seg live view`;
  }
}

/** How grave a state is, for the timeline: "" where the stream is as it should be. */
export const gravity = (name) => {
  const level = STATES[name]?.level ?? "caution";
  return level === "calm" || name === "ended" ? "" : level;
};
