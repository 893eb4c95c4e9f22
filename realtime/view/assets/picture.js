// The picture: the newest JPEG is decoded off the page's thread and drawn; each one drawn is told to the server, which
// then sends the next. How old it is on this page is measured when the browser is about to show it.

const HEADER = 24; // bytes: uint32 index, uint32 flags, float64 stream seconds, float64 captured, all little-endian
const LONGEST = 60_000; // milliseconds that are reported: a page can sleep for a night
const KEPT = 3000; // delays, of which the percentiles are

export class Picture {
  #canvas;
  #context;
  #connection;
  #inset;
  #arrived = 0;
  #drawn = 0;
  #delays = [];
  #next = 0;
  #last = null; // {delay, at}

  /**
   * `connection` is told of each picture that was drawn, and knows the server's clock. `inset` is a small canvas that
   * shows the picture, too, while it is on the page.
   */
  constructor(canvas, connection, inset) {
    this.#inset = inset;
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#connection = connection;
    this.shownAt = null; // of performance.now, when the last picture was drawn
    this.seconds = null; // its stream time
  }

  /** Whether pictures are new when they come; a page that opens on a held or ended stream is sent an old one. */
  isLive = () => true;

  /** A server says hello: its frames are counted anew. */
  reset(width, height) {
    this.#drawn = this.#arrived;
    this.#delays = [];
    this.#next = 0;
    this.#last = null;
    this.shownAt = this.seconds = null;
    if (width && height) this.#shape(width, height);
  }

  async show(buffer) {
    const order = ++this.#arrived;
    const header = new DataView(buffer, 0, HEADER);
    const index = header.getUint32(0, true);
    const captured = header.getFloat64(16, true);
    let bitmap = null;
    try {
      bitmap = await createImageBitmap(new Blob([new Uint8Array(buffer, HEADER)], { type: "image/jpeg" }));
    } catch {
      this.#acknowledge(index, null); // a broken picture: the next one will do
      return;
    }
    if (order > this.#drawn) {
      this.#drawn = order;
      this.#draw(bitmap);
      this.seconds = header.getFloat64(8, true);
      this.#canvas.dataset.index = index;
    }
    bitmap.close();
    if (document.hidden) this.#acknowledge(index, null); // nothing is shown, and no animation frame comes
    else requestAnimationFrame(() => this.#acknowledge(index, this.#measure(captured)));
  }

  /** The delay of the newest picture in milliseconds; null where there was none for a second. */
  get recent() {
    return this.#last && performance.now() - this.#last.at < 1000 ? this.#last.delay : null;
  }

  /** The delay below which a share (0-1) of them lies; null until there are 10 / (1 - share) of them. */
  percentile(share) {
    if (this.#delays.length < 10 / (1 - share)) return null;
    const sorted = Float64Array.from(this.#delays).sort();
    return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
  }

  #draw(bitmap) {
    if (this.#canvas.width !== bitmap.width || this.#canvas.height !== bitmap.height) {
      this.#shape(bitmap.width, bitmap.height);
    }
    this.#context.drawImage(bitmap, 0, 0);
    this.shownAt = performance.now();
    if (this.#inset.offsetParent) this.#drawInset(bitmap);
  }

  #drawInset(bitmap) {
    const height = Math.round(this.#inset.clientHeight * (window.devicePixelRatio || 1));
    this.#inset.height = height;
    this.#inset.width = Math.round((height * bitmap.width) / bitmap.height);
    this.#inset.getContext("2d").drawImage(bitmap, 0, 0, this.#inset.width, height);
  }

  #shape(width, height) {
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#canvas.parentElement.style.setProperty("--ratio", `${width} / ${height}`);
  }

  #measure(captured) {
    const now = this.#connection.serverNow;
    if (now === null || !this.isLive()) return null;
    const delay = Math.max(0, now - captured);
    this.#last = { delay, at: performance.now() };
    this.#delays[this.#next] = delay;
    this.#next = (this.#next + 1) % KEPT;
    return delay;
  }

  #acknowledge(index, delay) {
    this.#connection.send({ type: "shown", index, ...(delay === null ? {} : { delay_ms: Math.min(delay, LONGEST) }) });
  }
}
