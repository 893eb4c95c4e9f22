// A sighting's snapshot, large: with and without overlay, and the sightings before and after it.

import { byId, make } from "./dom.js";
import { area, clock, count, percent, span } from "./format.js";
import { snapshotAddress } from "./sightings.js";

/** Events: `jump` (detail: the sighting): show it in the recording. */
export class SnapshotDialog extends EventTarget {
  #dialog = byId("snapshot-dialog");
  #sightings;
  #id = null;
  #overlay = true;

  constructor(sightings) {
    super();
    this.#sightings = sightings;
    this.canJump = () => false; // whether a sighting is in a recording that is played
    byId("snapshot-close").addEventListener("click", () => this.#dialog.close());
    byId("snapshot-previous").addEventListener("click", () => this.#step(-1));
    byId("snapshot-next").addEventListener("click", () => this.#step(1));
    byId("snapshot-overlay").addEventListener("click", () => this.switchOverlay());
    byId("snapshot-jump").addEventListener("click", () => this.#jump());
    byId("snapshot-image").addEventListener("error", () => this.#missing(true));
    byId("snapshot-image").addEventListener("load", () => this.#missing(false));
    this.#dialog.addEventListener("close", () => this.#closed());
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    this.#dialog.addEventListener("keydown", (event) => this.#press(event));
    sightings.addEventListener("change", ({ detail }) => detail.id === this.#id && this.#show());
    sightings.addEventListener("reset", () => this.#dialog.close());
  }

  open(id) {
    if (!this.#sightings.get(id)) return;
    this.#id = id;
    this.#show();
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  switchOverlay() {
    this.#overlay = !this.#overlay;
    this.#show();
  }

  #show() {
    const sighting = this.#sightings.get(this.#id);
    byId("snapshot-title").textContent = `Sighting ${sighting.id}`;
    this.#load(snapshotAddress(sighting, this.#overlay), sighting.id);
    byId("snapshot-facts").replaceChildren(
      fact("Seen", span(sighting.first_seconds, sighting.last_seconds)),
      fact("Frames", count(sighting.frames)),
      fact("Confidence", percent(sighting.confidence)),
      fact("Largest area", `${area(sighting.area_fraction)} of the picture`),
      ...(this.#sightings.isInView(sighting) ? [fact("Now", "in view")] : []),
    );
    byId("snapshot-overlay").setAttribute("aria-pressed", String(this.#overlay));
    byId("snapshot-jump").hidden = !this.canJump(sighting);
    byId("snapshot-previous").disabled = !this.#sightings.beside(this.#id, -1);
    byId("snapshot-next").disabled = !this.#sightings.beside(this.#id, 1);
    this.#sightings.highlight(this.#id);
  }

  #load(address, id) {
    const image = byId("snapshot-image");
    byId("snapshot-save").hidden = address === null;
    if (address === null) {
      this.#missing(true);
      return;
    }
    const alt = `Sighting ${id} at ${clock(this.#sightings.get(id).first_seconds)}${this.#overlay ? ", with overlay" : ""}`;
    if (image.getAttribute("src") !== address) image.src = address;
    image.alt = alt;
    const save = byId("snapshot-save");
    save.href = address;
    save.download = `sighting-${id}${this.#overlay ? "-overlay" : ""}.jpg`;
  }

  #missing(missing) {
    byId("snapshot-image").hidden = missing;
    byId("snapshot-failed").hidden = !missing;
  }

  #step(step) {
    const other = this.#sightings.beside(this.#id, step);
    if (other) this.open(other.id);
  }

  #jump() {
    const sighting = this.#sightings.get(this.#id);
    this.#dialog.close();
    this.dispatchEvent(new CustomEvent("jump", { detail: sighting }));
  }

  #press(event) {
    const action = {
      ArrowLeft: () => this.#step(-1), ArrowRight: () => this.#step(1), o: () => this.switchOverlay(),
    }[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  #closed() {
    this.#id = null;
    this.#sightings.highlight(undefined);
  }
}

const fact = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
