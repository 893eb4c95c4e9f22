// The recording in the picture's place when the stream has ended: played, scrubbed, sightings jumped to. It may have
// parts, as recording can be switched off and on: they lie on one timeline, and what lies between them was not recorded.

import { byId, setIcon, write } from "./dom.js";
import { clock } from "./format.js";

const LEAD = 0.5; // seconds before a sighting at which it is shown

export class Player {
  #video = byId("recording");
  #scrub = byId("scrub");
  #sightings;
  #timeline;
  #parts = []; // {address, offset, duration}, in their order; times of the stream
  #part = null; // the one that is loaded
  #end = 0;
  #frame = 1 / 30;
  #wanted = null; // stream time
  #goesOn = false; // plays again once the part that is being loaded is there

  constructor(sightings, timeline) {
    this.#sightings = sightings;
    this.#timeline = timeline;
    this.isOpen = false;
    byId("play").addEventListener("click", () => this.toggle());
    byId("earlier").addEventListener("click", () => this.jump(-1));
    byId("later").addEventListener("click", () => this.jump(1));
    byId("speed").addEventListener("change", () => this.#pace());
    this.#scrub.addEventListener("input", () => this.seek(Number(this.#scrub.value)));
    const video = this.#video;
    video.addEventListener("click", () => this.toggle());
    video.addEventListener("loadedmetadata", () => this.#loaded());
    for (const name of ["play", "pause"]) video.addEventListener(name, () => this.#show());
    for (const name of ["timeupdate", "seeking"]) video.addEventListener(name, () => this.#follow());
    video.addEventListener("seeked", () => this.#seekOn());
    video.addEventListener("ended", () => this.#playNext());
    video.addEventListener("error", () => this.isOpen && this.onfail?.());
  }

  /** Called when the recording cannot be played. */
  onfail = null;

  /** Open a recording: its parts, the stream time of the end, and frames a second. */
  open(parts, end, fps) {
    this.#parts = parts.map((part) => ({ ...part }));
    this.#frame = 1 / (fps || 30);
    this.#end = Math.max(end, ...parts.map((part) => part.offset + part.duration));
    this.isOpen = true;
    this.enable(true);
    this.#layOut(true);
    this.#lay();
    this.seek(this.#parts[0].offset);
  }

  close() {
    if (!this.isOpen) return;
    this.isOpen = this.#goesOn = false;
    this.#part = this.#wanted = null;
    this.#video.removeAttribute("src");
    this.#video.load();
    this.#layOut(false);
  }

  /** Whether it can be used: not while the server is gone. */
  enable(enabled) {
    byId("transport").inert = !enabled;
    this.#scrub.disabled = !enabled;
    if (!enabled) this.#hold();
  }

  /** Stream time of what is shown. */
  get time() {
    return this.#wanted ?? (this.#part?.offset ?? 0) + this.#video.currentTime;
  }

  get start() {
    return this.#parts[0]?.offset ?? 0;
  }

  get end() {
    return this.#end;
  }

  toggle() {
    if (!this.#video.paused || this.#goesOn) this.#hold();
    else if (this.#video.ended) this.#play((this.#next ?? this.#parts[0]).offset); // after the last part the first
    else this.#play(this.time);
  }

  /** Go to a stream time, or the nearest that was recorded. Only the newest wish counts while an older one is under way. */
  seek(time) {
    const { part, at } = this.#recorded(time);
    this.#wanted = at;
    if (part !== this.#part) this.#load(part);
    else if (this.#video.readyState > 0 && !this.#video.seeking) this.#video.currentTime = at - part.offset;
    this.#follow();
  }

  move(seconds) {
    this.seek(this.#across(this.time, seconds));
  }

  stepFrames(frames) {
    this.#hold();
    this.move(frames * this.#frame);
  }

  /** Go to the sighting after (1) or before (-1) the present, of those that were recorded. */
  jump(step) {
    const starts = this.#sightings.inOrder.filter((sighting) => this.has(sighting));
    const near = LEAD + 0.25; // what was just jumped to is not the one before
    const other = step > 0
      ? starts.find((sighting) => sighting.first_seconds > this.time + near)
      : starts.findLast((sighting) => sighting.first_seconds < this.time - near / 2);
    if (other) this.show(other);
  }

  /** Whether a sighting is in the recording, in whole or in part. */
  has({ first_seconds: first, last_seconds: last }) {
    return this.#parts.some((part) => first <= part.offset + part.duration && last >= part.offset);
  }

  /** Go to a sighting: just before it begins, or to its first moment that was recorded. */
  show({ first_seconds: first, last_seconds: last }) {
    const part = this.#parts.find((each) => first <= each.offset + each.duration && last >= each.offset);
    if (part) this.seek(Math.max(first - LEAD, part.offset));
  }

  /** The part that holds a time, and the time; in a gap the beginning of the next part, behind the last one its end. */
  #recorded(time) {
    const part = this.#parts.find((each) => time <= each.offset + each.duration) ?? this.#parts.at(-1);
    return { part, at: Math.min(Math.max(time, part.offset), part.offset + part.duration) };
  }

  /** A time some seconds from another; a step back out of a part goes into the one before, not to its own beginning. */
  #across(time, seconds) {
    const to = time + seconds;
    const { part } = this.#recorded(time);
    const before = this.#parts[this.#parts.indexOf(part) - 1];
    const left = seconds < 0 && before && to < part.offset && time - part.offset < this.#frame / 2;
    return left ? Math.min(to, before.offset + before.duration) : to;
  }

  #load(part) {
    this.#goesOn ||= !this.#video.paused && !this.#video.ended;
    this.#part = part;
    this.#video.src = part.address;
  }

  #play(time) {
    this.#goesOn = true;
    this.seek(time);
    if (this.#video.readyState > 0) this.#start();
  }

  get #next() {
    return this.#parts[this.#parts.indexOf(this.#part) + 1];
  }

  #playNext() {
    if (this.#next) this.#play(this.#next.offset);
    else this.#show();
  }

  #hold() {
    this.#goesOn = false;
    this.#video.pause();
    this.#show();
  }

  #start() {
    this.#goesOn = false;
    this.#pace();
    this.#video.play().catch((error) => error.name === "AbortError" || this.onfail?.()); // aborted: it was left meanwhile
  }

  /** A part that is loaded begins at the usual speed. */
  #pace() {
    this.#video.playbackRate = Number(byId("speed").value);
  }

  #loaded() {
    const part = this.#part;
    if (!part) return;
    if (Number.isFinite(this.#video.duration)) part.duration = this.#video.duration;
    this.#end = Math.max(this.#end, part.offset + part.duration);
    this.#lay();
    this.#pace();
    if (this.#wanted > part.offset) this.#video.currentTime = this.#wanted - part.offset;
    else this.#wanted = null;
    if (this.#goesOn) this.#start();
    this.#follow();
    this.#show();
  }

  #seekOn() {
    const aside = this.#wanted === null ? 0 : this.#wanted - this.#part.offset - this.#video.currentTime;
    if (Math.abs(aside) > this.#frame / 2) this.#video.currentTime += aside;
    else this.#wanted = null;
    this.#follow();
  }

  /** Put the parts on the timeline, which is the slider's scale, too. */
  #lay() {
    this.#scrub.min = 0;
    this.#scrub.max = this.#end;
    this.#timeline.finish(this.#end, this.#parts.map(({ offset, duration }) => [offset, offset + duration]));
  }

  #follow() {
    if (!this.isOpen) return;
    const time = this.time;
    this.#timeline.move(time);
    this.#scrub.value = time;
    this.#scrub.setAttribute("aria-valuetext", `${clock(time)} of ${clock(this.#end)}${this.#place()}`);
    write(byId("position"), `${clock(time)} / ${clock(this.#end)}`);
    write(byId("clock"), clock(time));
    const shown = this.#sightings.inOrder.filter(
      (sighting) => sighting.first_seconds <= time + LEAD && time <= sighting.last_seconds,
    ).at(-1);
    this.#timeline.highlight(shown?.id);
    this.#sightings.highlight(shown?.id);
  }

  #place() {
    return this.#parts.length > 1 ? `, part ${this.#parts.indexOf(this.#part) + 1} of ${this.#parts.length}` : "";
  }

  #show() {
    const paused = this.#video.paused && !this.#goesOn;
    setIcon(byId("play-icon"), paused ? "play" : "pause");
    byId("play").setAttribute("aria-label", paused ? "Play" : "Pause");
  }

  #layOut(open) {
    this.#video.hidden = !open;
    byId("picture").hidden = open;
    byId("transport").hidden = !open;
    this.#scrub.hidden = !open;
  }
}
