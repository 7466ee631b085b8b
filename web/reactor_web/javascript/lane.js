// One run of a shared connection: its events in order, none missing and none twice, whatever comes over the connection.
// What is missing is read by pages.
import { parse } from "./json.js";
import { ReactorError, requestEvents, withQuery } from "./request.js";

const LIMIT = 1000;

export class Lane {
  closed = false;
  /** The connection of which it misses nothing. */
  #hub = "";
  /** There is no such connection. @type {(why: string) => void} */
  alone = () => {};
  /** Events that are ahead, by seq. @type {Map<number, string>} */
  #waiting = new Map();
  /** How many events to ask for; 0: nothing can be missing. */
  #reads = 0;
  #isRunning = false;
  #failures = 0;
  /** @type {any} */
  #patience;
  #wake = () => {};

  /**
   * @param {string} run
   * @param {import("./follow.js").Stream} stream  its `lastSeq` says what it has
   */
  constructor(run, stream) {
    this.run = run;
    this.stream = stream;
    this.options = stream.options;
    this.clock = this.options.clock ?? globalThis;
    /** Seconds for which the run need not be there. */
    this.awaits = this.options.awaitRun ?? 0;
    if (this.awaits && this.awaits < Infinity) {
      this.#patience = this.clock.setTimeout(() => this.#missing(), this.awaits * 1000);
    }
  }

  /** It comes back to a channel: it has not heard what was said there, of a connection that may still be the same. */
  forget() {
    this.#hub = "";
  }

  /** What is said of the connection. @param {import("./hub.js").Report} report */
  hear({ id, runs, isFresh, left, refused, status, detail }) {
    if (this.closed) return;
    if (refused ?? left.includes(this.run)) return this.alone(refused ?? "no more than 100 runs are shared");
    const seq = runs[this.run];
    if (seq === undefined) this.#hub = "";
    else if (this.#hub === id) {
      if (seq > this.stream.lastSeq && !this.#waiting.has(seq)) this.#fill(LIMIT); // a message was lost
    } else this.#fill(isFresh && !this.options.snapshot ? +(this.awaits < Infinity) : LIMIT);
    if (seq !== undefined) {
      this.#hub = id;
      if (status === "live" && this.stream.status !== status) this.#wake();
      this.stream.setStatus(status, detail && new ReactorError(detail));
    }
  }

  /** An event of the connection. @param {number} seq @param {string} data */
  push(seq, data) {
    if (seq <= this.stream.lastSeq) return;
    if (this.#waiting.size < LIMIT) this.#waiting.set(seq, data);
    else this.#reads = LIMIT; // a reader that is so slow gets the rest by pages
    this.#run();
  }

  /** Reads what may be missing up to now. @param {number} limit 1: only to learn whether the run is there */
  #fill(limit) {
    this.#reads = Math.max(this.#reads, limit);
    this.#run();
  }

  close() {
    this.closed = true;
    this.clock.clearTimeout(this.#patience);
    this.#wake();
  }

  #missing() {
    this.awaits = 0;
    this.#fill(1);
  }

  async #run() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (!this.closed) {
      const seq = this.stream.lastSeq + 1;
      const data = this.#waiting.get(seq);
      if (data !== undefined) {
        this.#waiting.delete(seq);
        await this.stream.take(parse(data));
        continue;
      }
      for (const old of this.#waiting.keys()) if (old < seq) this.#waiting.delete(old);
      if (!this.#reads && !this.#waiting.size) break;
      await this.#read(seq - 1);
    }
    this.#isRunning = false;
  }

  /** @param {number} after */
  async #read(after) {
    const limit = this.#reads || LIMIT;
    this.#reads = 0;
    try {
      const { events, ended } = await this.#page(after, limit);
      for (const message of events) if (!this.closed) await this.stream.take(message);
      if (events.length || !this.#waiting.size) this.#failures = 0; // else it is too early to ask for what is ahead
      if (!events.length && ended) return this.stream.end();
      if (events.length && limit > 1) this.#fill(LIMIT); // until a page is empty
      if (!events.length && this.#waiting.size) await this.#rest();
    } catch (error) {
      await this.#failed(/** @type {any} */ (error), limit);
    }
  }

  /** @param {number} after @param {number} limit */
  async #page(after, limit) {
    const query = this.options.snapshot && !after ? { snapshot: 1 } : { after: this.stream.after(after) };
    const url = withQuery(`${this.stream.url}/events`, { ...query, limit });
    const answer = await requestEvents(url, this.options, "application/json");
    return parse(await answer.text());
  }

  /** @param {any} error @param {number} limit */
  async #failed(error, limit) {
    if (error.status === 404 && this.awaits && !this.stream.lastSeq) {
      if (this.#waiting.size) await this.#rest();
    } else if (error.isFinal) this.stream.fail(error);
    else {
      this.#fill(limit);
      await this.#rest();
    }
  }

  /** @returns {Promise<void>} */
  #rest() {
    const { random = Math.random } = this.options;
    const ms = (0.5 + random() / 2) * Math.min(30_000, 250 * 2 ** ++this.#failures);
    return new Promise((resolve) => this.clock.setTimeout((this.#wake = resolve), ms));
  }
}
