// The WebSocket to the server: opened again by itself with growing waits, and the clocks of both sides compared.

const FIRST_WAIT = 500; // milliseconds, doubled after each failure
const LONGEST_WAIT = 8000;
const PING_EVERY = 1000;
const SILENCE = 5000; // nothing for so long, not even a pong: the other side is gone without a word
const CLOCK_SAMPLES = 12;

/**
 * Events: `open`, `message` (detail: the parsed object), `frame` (detail: ArrayBuffer), `lost` (detail: reason, or ""),
 * `wait` (detail: seconds until the next attempt, 0 while it runs).
 */
export class Connection extends EventTarget {
  #address;
  #socket = null;
  #wait = FIRST_WAIT;
  #retryAt = 0;
  #heard = 0;
  #trips = [];
  #lastPing = 0;

  constructor(address) {
    super();
    this.#address = address;
    setInterval(() => this.#tick(), 250);
    addEventListener("online", () => this.retry());
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", (event) => event.persisted && this.retry());
    this.#open();
  }

  /** The server's monotonic clock in milliseconds, by the quickest of the last pings; null before the first. */
  get serverNow() {
    if (!this.#trips.length) return null;
    const best = this.#trips.reduce((a, b) => (b.trip < a.trip ? b : a));
    return performance.now() + best.offset;
  }

  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Try now instead of later. */
  retry() {
    if (this.#socket === null) this.#open();
  }

  #open() {
    const socket = new WebSocket(this.#address);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heard = performance.now();
    this.#emit("wait", 0);
    socket.addEventListener("open", () => this.#opened(socket));
    socket.addEventListener("message", (event) => socket === this.#socket && this.#take(event.data));
    socket.addEventListener("close", (event) => socket === this.#socket && this.#lose(event.reason));
  }

  #opened(socket) {
    if (socket !== this.#socket) return;
    this.#trips = [];
    this.#emit("open");
    this.#ping();
  }

  #take(data) {
    this.#heard = performance.now();
    if (data instanceof ArrayBuffer) {
      this.#emit("frame", data);
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "pong") this.#compareClocks(message);
    else {
      if (message.type === "hello") this.#wait = FIRST_WAIT; // only now it is known to serve us
      this.#emit("message", message);
    }
  }

  #ping() {
    this.#lastPing = performance.now();
    this.send({ type: "ping", sent: this.#lastPing });
  }

  #compareClocks({ sent, server_ms: server }) {
    const now = performance.now();
    const trip = now - sent;
    this.#trips = [...this.#trips, { trip, offset: server + trip / 2 - now }].slice(-CLOCK_SAMPLES);
  }

  #tick() {
    const now = performance.now();
    if (this.#socket === null) {
      if (now >= this.#retryAt) this.#open();
      else this.#emit("wait", Math.ceil((this.#retryAt - now) / 1000));
    } else if (now - this.#heard > SILENCE) this.#lose("");
    else if (now - this.#lastPing > PING_EVERY) this.#ping();
  }

  #lose(reason) {
    this.#close();
    this.#retryAt = performance.now() + this.#wait * (0.8 + 0.4 * Math.random()); // clients do not all come at once
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
    this.#emit("lost", reason);
  }

  #close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** The address of the server that this page came from. */
export function socketAddress() {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws${location.search}`;
}
