// The picture: the newest JPEG is decoded off the page's thread and drawn; each one drawn is told to the server, which
// then sends the next. How old it is on this page is measured when the browser is about to show it.

const HEADER = 24; // bytes: uint32 index, uint32 flags, float64 stream seconds, float64 captured, all little-endian
const KEPT = 3000; // delays, of which the percentiles are

export class Picture {
  #canvas;
  #context;
  #connection;
  #arrived = 0;
  #drawn = 0;
  #delays = [];
  #next = 0;

  /** `connection` is told of each picture that was drawn, and knows the server's clock. */
  constructor(canvas, connection) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#connection = connection;
    this.shownAt = null; // of performance.now, when the last picture was drawn
    this.seconds = null; // its stream time
    this.last = null; // its delay in milliseconds
  }

  /** A server says hello: its frames are counted anew. */
  reset(width, height) {
    this.#drawn = this.#arrived;
    this.#delays = [];
    this.#next = 0;
    this.shownAt = this.seconds = this.last = null;
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
  }

  #shape(width, height) {
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#canvas.parentElement.style.setProperty("--ratio", `${width} / ${height}`);
  }

  #measure(captured) {
    const now = this.#connection.serverNow;
    if (now === null) return null;
    this.last = Math.max(0, now - captured);
    this.#delays[this.#next] = this.last;
    this.#next = (this.#next + 1) % KEPT;
    return this.last;
  }

  #acknowledge(index, delay) {
    this.#connection.send({ type: "shown", index, ...(delay === null ? {} : { delay_ms: delay }) });
  }
}
