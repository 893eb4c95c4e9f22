// Numbers of the stream: delays, rate, frames, drops by cause.

import { byId, write } from "./dom.js";
import { count, milliseconds, rate } from "./format.js";
import { Plot } from "./plot.js";

const CAUSES = { infer: "not segmented", show: "not shown", view: "not in view", record: "not recorded",
  "view recording": "not in the replay" };

export class Figures {
  #plot = new Plot();
  #picture;

  constructor(picture) {
    this.#picture = picture;
  }

  reset() {
    this.#plot.reset();
  }

  /** Show a message of type state. */
  show(state) {
    const picture = this.#picture;
    const browser = { last: picture.recent, p50: picture.percentile(0.5), p99: picture.percentile(0.99) };
    this.#delay("video", state.video_delay_ms);
    this.#delay("annotation", state.annotation_delay_ms);
    this.#delay("browser", browser);
    write(byId("fps"), rate(state.fps));
    write(byId("frames"), count(state.frames?.in));
    this.#drops(state.dropped ?? {});
    if (state.state === "ended" || state.state === "paused") return;
    this.#plot.add({
      video: state.video_delay_ms?.last, annotation: state.annotation_delay_ms?.last, browser: browser.last,
      fps: state.fps,
    });
  }

  #delay(name, delays) {
    for (const figure of ["last", "p50", "p99"]) write(byId(`${name}-${figure}`), milliseconds(delays?.[figure]));
  }

  #drops(dropped) {
    const causes = Object.entries(dropped).filter(([, number]) => number > 0);
    write(byId("dropped"), count(causes.reduce((sum, [, number]) => sum + number, 0)));
    const words = causes.map(([cause, number]) => `${CAUSES[cause] ?? cause.replaceAll("_", " ")} ${count(number)}`);
    write(byId("causes"), words.length ? `Dropped: ${words.join(", ")}` : "");
  }
}
