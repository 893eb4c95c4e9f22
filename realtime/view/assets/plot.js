// The last minute of delays (above) and frames a second (below), drawn in the colours of the table under it.

import { byId, fitCanvas } from "./dom.js";
import { milliseconds, rate } from "./format.js";

const SPAN = 60; // seconds
const GAP = 2; // seconds without a value: the line is interrupted
const LEFT = 46; // pixels for the scale
const STEPS = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 60000];
const USUAL = 0.98; // share of the values that the scale shows; one long wait must not flatten a minute of others

export class Plot {
  #canvas = byId("plot");
  #points = []; // {at, video, annotation, browser, fps}
  #colours;

  constructor() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.#colours = {
      video: colour("text"), annotation: colour("mark"), browser: colour("idle"), fps: colour("text"),
      line: colour("line"), soft: colour("soft"),
    };
    new ResizeObserver(() => this.draw()).observe(this.#canvas);
  }

  reset() {
    this.#points = [];
    this.draw();
  }

  add(values) {
    const at = performance.now() / 1000;
    this.#points.push({ at, ...values });
    while (this.#points[0].at < at - SPAN - GAP) this.#points.shift();
    this.draw();
  }

  draw() {
    const { context, width, height } = fitCanvas(this.#canvas);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    const split = Math.round(height * 0.66);
    this.#panel(context, width, 5, split - 6, ["video", "annotation", "browser"], " ms");
    this.#panel(context, width, split + 8, height - 5, ["fps"], "/s");
    this.#describe();
  }

  #panel(context, width, top, bottom, names, unit) {
    const values = this.#points.flatMap((point) => names.map((name) => point[name] ?? 0)).sort((a, b) => a - b);
    const usual = values[Math.floor(USUAL * (values.length - 1))] ?? 0;
    const most = STEPS.find((step) => step >= usual * 1.05) ?? STEPS.at(-1);
    this.#scale(context, width, top, bottom, most, unit);
    const now = performance.now() / 1000;
    const x = (at) => width - ((now - at) / SPAN) * (width - LEFT);
    const y = (value) => bottom - (Math.min(value, most) / most) * (bottom - top);
    context.save();
    context.beginPath();
    context.rect(LEFT, top - 2, width - LEFT, bottom - top + 4);
    context.clip();
    for (const name of names) this.#line(context, name, x, y);
    context.restore();
  }

  #scale(context, width, top, bottom, most, unit) {
    context.strokeStyle = this.#colours.line;
    context.lineWidth = 1;
    context.fillStyle = this.#colours.soft;
    context.textAlign = "right";
    for (const [y, text] of [[top, most >= 1000 ? `${most / 1000} s` : `${most}${unit}`], [bottom, "0"]]) {
      context.beginPath();
      context.moveTo(LEFT + 2, Math.round(y) + 0.5);
      context.lineTo(width, Math.round(y) + 0.5);
      context.stroke();
      context.fillText(text, LEFT - 3, y);
    }
  }

  #line(context, name, x, y) {
    context.strokeStyle = this.#colours[name];
    context.lineWidth = 1.5;
    context.beginPath();
    let before = null;
    for (const point of this.#points) {
      const value = point[name];
      if (typeof value !== "number") continue;
      if (before === null || point.at - before > GAP) context.moveTo(x(point.at), y(value));
      else context.lineTo(x(point.at), y(value));
      before = point.at;
    }
    context.stroke();
  }

  #describe() {
    const last = this.#points.at(-1);
    const values = last
      ? `now ${rate(last.fps)} frames a second, video delay ${milliseconds(last.video)}, annotation delay ` +
        `${milliseconds(last.annotation)}, delay to this page ${milliseconds(last.browser)} milliseconds`
      : "nothing measured yet";
    this.#canvas.setAttribute("aria-label", `Delay and frames per second over the last minute: ${values}`);
  }
}
