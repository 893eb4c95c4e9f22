// The recording in the picture's place when the stream has ended: played, scrubbed, sightings jumped to.

import { byId, setIcon, write } from "./dom.js";
import { clock } from "./format.js";

const LEAD = 0.5; // seconds before a sighting at which it is shown

export class Player {
  #video = byId("recording");
  #scrub = byId("scrub");
  #sightings;
  #timeline;
  #offset = 0;
  #duration = 0;
  #frame = 1 / 30;
  #wanted = null;

  constructor(sightings, timeline) {
    this.#sightings = sightings;
    this.#timeline = timeline;
    this.isOpen = false;
    byId("play").addEventListener("click", () => this.toggle());
    byId("earlier").addEventListener("click", () => this.jump(-1));
    byId("later").addEventListener("click", () => this.jump(1));
    byId("speed").addEventListener("change", (event) => (this.#video.playbackRate = Number(event.target.value)));
    this.#scrub.addEventListener("input", () => this.seek(Number(this.#scrub.value)));
    const video = this.#video;
    video.addEventListener("click", () => this.toggle());
    video.addEventListener("loadedmetadata", () => this.#loaded());
    for (const name of ["play", "pause", "ended"]) video.addEventListener(name, () => this.#show());
    for (const name of ["timeupdate", "seeking"]) video.addEventListener(name, () => this.#follow());
    video.addEventListener("seeked", () => this.#seekOn());
    video.addEventListener("error", () => this.isOpen && this.onfail?.());
  }

  /** Called when the recording cannot be played. */
  onfail = null;

  /** Open a recording: its address, the stream time at which it begins, its seconds, and frames a second. */
  open(address, offset, duration, fps) {
    [this.#offset, this.#duration, this.#frame] = [offset, duration, 1 / (fps || 30)];
    this.isOpen = true;
    this.#video.src = address;
    this.#layOut(true);
  }

  close() {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#video.removeAttribute("src");
    this.#video.load();
    this.#layOut(false);
  }

  /** Stream time of what is shown. */
  get time() {
    return this.#offset + (this.#wanted ?? this.#video.currentTime);
  }

  get end() {
    return this.#offset + this.#duration;
  }

  toggle() {
    if (this.#video.paused) this.#video.play().catch(() => this.onfail?.());
    else this.#video.pause();
  }

  /** Go to a stream time. Only the newest wish counts while the browser still goes to an older one. */
  seek(time) {
    const wanted = Math.min(Math.max(time - this.#offset, 0), this.#duration);
    this.#wanted = wanted;
    if (!this.#video.seeking) this.#video.currentTime = wanted;
    this.#follow();
  }

  move(seconds) {
    this.seek(this.time + seconds);
  }

  stepFrames(frames) {
    this.#video.pause();
    this.move(frames * this.#frame);
  }

  /** Go to the sighting after (1) or before (-1) the present. */
  jump(step) {
    const starts = this.#sightings.inOrder;
    const near = LEAD + 0.25; // what was just jumped to is not the one before
    const other = step > 0
      ? starts.find((sighting) => sighting.first_seconds > this.time + near)
      : starts.findLast((sighting) => sighting.first_seconds < this.time - near / 2);
    if (other) this.show(other);
  }

  /** Go to a sighting. */
  show(sighting) {
    this.seek(sighting.first_seconds - LEAD);
  }

  #loaded() {
    if (Number.isFinite(this.#video.duration)) this.#duration = this.#video.duration;
    this.#scrub.min = this.#offset;
    this.#scrub.max = this.end;
    this.#timeline.finish(this.end);
    this.#follow();
    this.#show();
  }

  #seekOn() {
    if (this.#wanted !== null && Math.abs(this.#video.currentTime - this.#wanted) > this.#frame / 2) {
      this.#video.currentTime = this.#wanted;
    } else this.#wanted = null;
    this.#follow();
  }

  #follow() {
    if (!this.isOpen) return;
    const time = this.time;
    this.#timeline.move(time);
    this.#scrub.value = time;
    this.#scrub.setAttribute("aria-valuetext", `${clock(time)} of ${clock(this.end)}`);
    write(byId("position"), `${clock(time)} / ${clock(this.end)}`);
    write(byId("clock"), clock(time));
    const shown = this.#sightings.inOrder.filter(
      (sighting) => sighting.first_seconds <= time + LEAD && time <= sighting.last_seconds,
    ).at(-1);
    this.#timeline.highlight(shown?.id);
    this.#sightings.highlight(shown?.id);
  }

  #show() {
    const paused = this.#video.paused;
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
