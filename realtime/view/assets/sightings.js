// The sightings: kept by id, shown as a strip of snapshots, the newest first.

import { byId, make, write } from "./dom.js";
import { percent, span } from "./format.js";

/** Events: `change` (detail: the sighting), `open` (detail: its id), `reset`. */
export class Sightings extends EventTarget {
  #all = new Map();
  #cards = new Map();
  #strip = byId("strip");
  #seeing = true;

  constructor() {
    super();
    this.#strip.addEventListener("click", (event) => {
      const card = event.target.closest("button");
      if (card) this.dispatchEvent(new CustomEvent("open", { detail: Number(card.dataset.id) }));
    });
    this.#strip.addEventListener("keydown", (event) => this.#move(event));
    this.#strip.addEventListener("focusin", (event) => this.#stopAt(event.target));
  }

  /** All of them by the time at which they began. */
  get inOrder() {
    return [...this.#all.values()].sort((a, b) => a.first_seconds - b.first_seconds || a.id - b.id);
  }

  get(id) {
    return this.#all.get(id);
  }

  /** The one after (`step` 1) or before (-1) another in time; undefined at the ends. */
  beside(id, step) {
    const order = this.inOrder;
    return order[order.findIndex((sighting) => sighting.id === id) + step];
  }

  reset(sightings) {
    this.#all.clear();
    this.#cards.clear();
    this.#strip.replaceChildren();
    this.dispatchEvent(new CustomEvent("reset"));
    for (const sighting of sightings) this.take(sighting);
    this.#count();
  }

  /** One is new or has changed. */
  take(sighting) {
    const isNew = !this.#all.has(sighting.id);
    this.#all.set(sighting.id, sighting);
    this.#card(sighting);
    this.#count();
    this.dispatchEvent(new CustomEvent("change", { detail: sighting }));
    return isNew;
  }

  /** Whether a sighting goes on now, as far as anybody can see. */
  isInView(sighting) {
    return this.#seeing && !sighting.ended;
  }

  /** Whether there are pictures with segmentation now; without them none is in view, and when they are back the server
   * says which of them ended. */
  set seeing(seeing) {
    if (seeing === this.#seeing) return;
    this.#seeing = seeing;
    for (const sighting of [...this.#all.values()]) if (!sighting.ended) this.take(sighting);
  }

  /** None goes on any longer: the stream has ended. */
  endAll() {
    for (const sighting of this.#all.values()) if (!sighting.ended) this.take({ ...sighting, ended: true });
  }

  /** Mark the card of the one that is played or looked at; undefined for none. */
  highlight(id) {
    for (const [number, card] of this.#cards) card.button.classList.toggle("current", number === id);
    this.#cards.get(id)?.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** The strip is one stop of the tab key, however long it is; inside it the arrow keys go from card to card. */
  #move(event) {
    const cards = [...this.#strip.querySelectorAll("button")];
    const here = cards.indexOf(document.activeElement);
    const to = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: cards.length - 1 };
    const card = cards[to[event.key]];
    if (!(event.key in to) || here < 0) return;
    event.preventDefault();
    card?.focus();
  }

  #stopAt(card) {
    for (const each of this.#strip.querySelectorAll("button[tabindex='0']")) each.tabIndex = -1;
    card.tabIndex = 0;
  }

  #count() {
    const number = this.#all.size;
    byId("no-sightings").hidden = number > 0;
    write(byId("sighting-count"), number ? String(number) : "");
  }

  #card(sighting) {
    const card = this.#cards.get(sighting.id) ?? this.#newCard(sighting.id);
    const when = span(sighting.first_seconds, sighting.last_seconds);
    const inView = this.isInView(sighting);
    const seen = inView ? "in view" : percent(sighting.confidence);
    card.button.classList.toggle("open", inView);
    write(card.when, when);
    write(card.seen, seen);
    card.button.setAttribute("aria-label", `Sighting ${sighting.id}, ${when}, ${inView ? seen : `confidence ${seen}`}`);
    card.picture.show(snapshotAddress(sighting, true));
  }

  #newCard(id) {
    const image = make("img", { alt: "", decoding: "async", width: 84, height: 48 });
    const [when, seen] = [make("span"), make("span", { className: "seen" })];
    const button = make("button", { type: "button", className: "card" }, image,
      make("span", {}, make("b", {}, `${id}`), when, seen));
    button.dataset.id = id;
    const atStart = this.#strip.scrollLeft < 8 && this.#strip.scrollTop < 8;
    this.#strip.prepend(make("li", {}, button));
    if (atStart) this.#strip.scrollTo(0, 0); // who looks at the newest sees the newest
    if (this.#strip.contains(document.activeElement)) button.tabIndex = -1;
    else this.#stopAt(button);
    const card = { button, when, seen, picture: new Thumbnail(image) };
    this.#cards.set(id, card);
    return card;
  }
}

/** A small picture that is replaced only by one that has arrived. */
class Thumbnail {
  #image;
  #wanted = "";
  #loading = false;

  constructor(image) {
    this.#image = image;
  }

  async show(address) {
    this.#wanted = address;
    if (this.#loading || address === null) return;
    this.#loading = true;
    const loader = new Image();
    loader.src = address;
    try {
      await loader.decode();
      this.#image.src = address;
    } catch {
      // it will be there, or better, at the sighting's next change
    }
    this.#loading = false;
    if (this.#wanted !== address) this.show(this.#wanted);
  }
}

/** Where a sighting's snapshot is, null if there is none yet; the frames in it change with the picture: none is old. */
export const snapshotAddress = (sighting, overlay) =>
  sighting.snapshot && `${sighting.snapshot}?overlay=${overlay ? 1 : 0}&v=${sighting.frames}${sighting.ended ? "e" : ""}`;
