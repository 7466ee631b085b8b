// Server-sent events from bytes, by the rules of the WHATWG.

const LARGEST_FRAME = 16 * 1024 * 1024;

/** @typedef {{event: string, data: string, id: string}} Frame */

export class FrameReader {
  /** Milliseconds, if the server has said so. @type {number | undefined} */
  retry;
  #decoder = new TextDecoder();
  #line = "";
  #skipsLineFeed = false;
  /** The last id that was sent; it stays until another one is. */
  #id = "";
  #event = "";
  #data = "";

  /**
   * The frames that these bytes complete.
   * @param {Uint8Array} bytes
   * @returns {Frame[]}
   */
  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (!text) return [];
    if (this.#skipsLineFeed && text[0] === "\n") text = text.slice(1);
    this.#skipsLineFeed = text.endsWith("\r"); // its line has ended; a line feed that follows belongs to it
    const [first, ...rest] = text.split(/\r\n|\r|\n/);
    this.#line += first;
    /** @type {Frame[]} */
    const frames = [];
    for (const next of rest) {
      this.#take(this.#line, frames);
      this.#line = next;
    }
    if (this.#line.length + this.#data.length > LARGEST_FRAME) throw new Error("a frame is above 16 MiB");
    return frames;
  }

  /** @param {string} line @param {Frame[]} frames */
  #take(line, frames) {
    if (!line) {
      if (this.#data) frames.push({ event: this.#event || "message", data: this.#data.slice(0, -1), id: this.#id });
      this.#data = this.#event = "";
    }
    const [, field, value] = /** @type {string[]} */ (/^([^:]*):? ?([^]*)$/.exec(line));
    if (field === "data") this.#data += `${value}\n`;
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d{1,15}$/.test(value)) this.retry = Number(value);
  }
}
