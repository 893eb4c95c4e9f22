// The procedure from its beginning until now: marks of sightings, bands where the picture was not assessed. When the
// stream has ended it is the scale on which the recording is scrubbed.

import { byId, make } from "./dom.js";
import { clock, span } from "./format.js";
import { gravity } from "./state.js";

// seconds that the timeline shows while the end is not known; it grows in steps so that marks do not creep
const SPANS = [15, 30, 60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200, 10800, 14400];
const HOUR = 3600;
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, HOUR];
const MOST_TICKS = 8;
const TICK_ROOM = 60; // pixels
const LEAST_GAP = 0.5; // seconds without a recording that are shown
const REACH = 10; // pixels beside a mark that still are it

/** Events: `choose` (detail: a sighting's id). */
export class Timeline extends EventTarget {
  #marks = new Map(); // id -> {element, sighting, lane}
  #changes = []; // {time, state, message}
  #bands = [];
  #now = 0;
  #span = SPANS[0];
  #duration = null;
  #pressed = 0;

  constructor() {
    super();
    const track = byId("track");
    track.addEventListener("pointerdown", (event) => (this.#pressed = event.clientX));
    track.addEventListener("pointermove", (event) => this.#pointAt(event));
    track.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#layOut()).observe(track);
  }

  /** Begin anew. `duration`: seconds of the whole, where it is known; `history`: the states so far. */
  reset(duration, history) {
    for (const { element } of this.#marks.values()) element.remove();
    this.#marks.clear();
    byId("gaps").replaceChildren();
    this.#changes = [];
    this.#now = 0;
    this.#duration = duration || null;
    for (const change of history) this.#change(change);
    this.#rescale();
  }

  /** The stream is here. */
  advance(time, state, message) {
    this.#change({ time, state, message });
    this.#now = time;
    if (this.#wantedSpan() !== this.#span) this.#rescale();
    else this.#placeEnds();
    this.move(time);
  }

  /** The stream of so many seconds is over; `recorded`: [from, to] of the parts of its recording. */
  finish(duration, recorded) {
    this.#duration = duration;
    this.#rescale();
    const ends = [...recorded.map(([from]) => from), duration];
    const begins = [0, ...recorded.map(([, to]) => to)];
    const gaps = begins.map((from, number) => [from, ends[number]]).filter(([from, to]) => to - from > LEAST_GAP);
    byId("gaps").replaceChildren(...gaps.map(([from, to]) => {
      const gap = make("div", {});
      this.#placeBand(gap, from, to);
      return gap;
    }));
  }

  /** Put the playhead at a time. */
  move(time) {
    byId("playhead").style.left = this.#percent(time);
  }

  /** A sighting is new or has changed. */
  take(sighting) {
    const mark = this.#marks.get(sighting.id) ?? this.#newMark(sighting);
    mark.sighting = sighting;
    this.#placeMark(mark);
  }

  highlight(id) {
    for (const [number, { element }] of this.#marks) element.classList.toggle("current", number === id);
  }

  #newMark(sighting) {
    const open = [...this.#marks.values()].filter((mark) => mark.sighting.last_seconds >= sighting.first_seconds);
    const lane = open.some((mark) => mark.lane === 0) ? 1 : 0;
    const element = make("div", { className: lane ? "mark lower" : "mark" });
    byId("marks").append(element);
    const mark = { element, sighting, lane };
    this.#marks.set(sighting.id, mark);
    return mark;
  }

  #change(change) {
    const last = this.#changes.at(-1);
    if (last?.state === change.state) return;
    this.#changes.push(change);
    if (last) this.#placeBand(this.#bands.at(-1), last.time, change.time);
    const grave = gravity(change.state);
    const band = make("div", { className: grave });
    band.hidden = !grave;
    byId("bands").append(band);
    this.#bands.push(band);
    this.#placeBand(band, change.time, change.time);
  }

  #wantedSpan() {
    if (this.#duration) return Math.max(this.#duration, this.#now);
    return SPANS.find((seconds) => seconds >= this.#now) ?? Math.ceil(this.#now / HOUR) * HOUR;
  }

  #rescale() {
    this.#span = this.#wantedSpan() || 1;
    byId("bands").replaceChildren();
    this.#bands = [];
    const changes = this.#changes;
    this.#changes = [];
    for (const change of changes) this.#change(change);
    this.#layOut();
    this.move(this.#now);
  }

  #layOut() {
    this.#placeEnds();
    for (const mark of this.#marks.values()) this.#placeMark(mark);
    this.#writeTicks();
  }

  #placeEnds() {
    const last = this.#changes.at(-1);
    if (last) this.#placeBand(this.#bands.at(-1), last.time, this.#now);
    for (const mark of this.#marks.values()) if (!mark.sighting.ended) this.#placeMark(mark);
  }

  #placeBand(band, from, to) {
    band.style.left = this.#percent(from);
    band.style.width = this.#percent(Math.max(0, to - from));
  }

  #placeMark({ element, sighting }) {
    element.style.left = this.#percent(sighting.first_seconds);
    element.style.width = this.#percent(sighting.last_seconds - sighting.first_seconds);
  }

  /**
   * The mark nearest to the pointer, if it is near enough for a finger. Marks are small and many: they are found by
   * distance, not hit. The keyboard has the strip, which names the same sightings.
   */
  #near({ clientX, clientY }) {
    const distances = [...this.#marks.values()].map((mark) => {
      const box = mark.element.getBoundingClientRect();
      const aside = Math.max(box.left - clientX, clientX - box.right, 0);
      const above = Math.max(box.top - clientY, clientY - box.bottom, 0);
      return { mark, distance: Math.hypot(aside, 3 * above) }; // below the marks the track is for scrubbing
    });
    const nearest = distances.reduce((a, b) => (b.distance < a.distance ? b : a), { distance: Infinity });
    return nearest.distance <= REACH ? nearest.mark.sighting : null;
  }

  #pointAt(event) {
    const sighting = this.#near(event);
    const track = byId("track");
    track.style.cursor = sighting ? "pointer" : "";
    track.title = sighting ? `Sighting ${sighting.id}, ${span(sighting.first_seconds, sighting.last_seconds)}` : "";
  }

  #click(event) {
    const sighting = Math.abs(event.clientX - this.#pressed) < REACH ? this.#near(event) : null; // else it was a drag
    if (sighting) this.dispatchEvent(new CustomEvent("choose", { detail: sighting.id }));
  }

  #writeTicks() {
    const most = Math.min(MOST_TICKS, Math.max(2, Math.floor(byId("track").clientWidth / TICK_ROOM)));
    const step = TICKS.find((seconds) => this.#span / seconds <= most) ?? HOUR;
    const times = Array.from({ length: Math.ceil(this.#span / step) }, (_, number) => number * step);
    if (this.#span - times.at(-1) < step * 0.75 && times.length > 1) times.pop(); // too near to the end's
    byId("ticks").replaceChildren(...[...times, this.#span].map((time) => {
      const tick = make("span", {}, clock(time));
      tick.style.left = this.#percent(time);
      return tick;
    }));
  }

  #percent(seconds) {
    return `${Math.min(100, (100 * seconds) / this.#span)}%`;
  }
}
