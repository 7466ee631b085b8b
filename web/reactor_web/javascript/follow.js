// `follow`: one run, live. Its events come once and in order, over as many connections as it takes.
import { addChunk } from "./chunks.js";
import { connect } from "./connection.js";
import { RUN_ENDED, addSnapshot, evolve, initialState } from "./fold.js";
import { parse } from "./json.js";
import { ReactorError, requestEvents, withQuery } from "./request.js";

/** @typedef {import("./types.js").RunEvent} RunEvent */
/** @typedef {import("./types.js").RunState} RunState */
/** @typedef {import("./types.js").FollowOptions} FollowOptions */

/** Events that wait for one loop over the stream; then the connection is not read from. */
const MOST_WAITING = 1000;
const TERMINAL = /^run\.(completed|failed|cancelled)$/;
/** Reasons of `stream.closing` after which it is no use to come back. */
const FINAL_CLOSINGS = ["not_found", "not_recovered"];
/** Options of the query with which the messages are others than the events of one run as they are. */
const OTHER_STREAMS = ["children", "dialect", "logs", "names", "view"];

/**
 * Follows a run until it has ended. `for await (const event of stream)` gives its events from here on.
 * @param {string} url of the run, like "/api/v1/runs/r1"
 * @param {FollowOptions} [options]
 * @returns {Stream}
 */
export function follow(url, options = {}) {
  const stream = new Stream(url, options);
  stream.attach(connect(streamed(stream)));
  return stream;
}

/**
 * The connection of a stream: server-sent events, or pages where they do not get through.
 * @param {Stream} stream
 * @returns {import("./connection.js").Source}
 */
export function streamed(stream) {
  const { url, options } = stream;
  const { awaitRun: await_run, heartbeat = 15, pollWait: wait = 25, query = {} } = options;
  const { types, tasks, tail, throttle = 0 } = query;
  const place = (/** @type {any} */ more) => {
    const snapshot = options.snapshot && !stream.lastSeq ? 1 : undefined;
    return withQuery(`${url}/events`, { ...more, throttle, snapshot, await_run });
  };
  return {
    options,
    url: () => place({ ...query, dialect: "native", heartbeat }),
    cursor: () => stream.after(),
    frame: (frame) => stream.take(parse(frame.data)),
    async poll(signal) {
      const page = place({ types, tasks, tail, after: stream.after() || undefined, wait });
      const answer = await requestEvents(page, { ...options, signal }, "application/json");
      const { events, cursor, ended } = parse(await answer.text());
      for (const message of events) {
        if (signal.aborted) return;
        await stream.take(message);
      }
      if (signal.aborted) return;
      const seq = parseInt(cursor); // an epoch may follow
      if (seq > stream.lastSeq && stream.isFiltered) stream.lastSeq = seq;
      if (ended) stream.end();
    },
    status: (status, detail) => stream.setStatus(status, detail),
    end: () => stream.end(),
    fail: (error) => stream.fail(error),
  };
}

/** What a run has said so far. Somebody else brings the messages: `attach` names it. */
export class Stream {
  /** @type {import("./types.js").Status} */
  status = "connecting";
  /** The folded state; undefined where the stream does not have all events. @type {RunState | undefined} */
  state;
  /** The text that each task has streamed in its present attempt. @type {Record<string, {attempt: number, text: string}>} */
  chunks = {};
  /** Why it has failed. @type {any} */
  error;
  /** The seq of the last event. */
  lastSeq = 0;
  #closed = false;
  /** Of the numbers of the run, where its log has lost some: `~epoch`. */
  #epoch = "";
  /** Whether whoever follows has left. */
  #left = false;
  /** @type {{reconnect(): void, close(): void} | undefined} */
  #source;
  /** A state of which not all parts have come. @type {RunState | undefined} */
  #parts;
  /** For each loop over the stream the events that wait for it. @type {Set<RunEvent[]>} */
  #loops = new Set();
  /** Loops that wait for an event, and the connection where it waits for the loops. @type {(() => void)[]} */
  #sleepers = [];
  /** The last state, once the stream has ended; rejected if it has failed. @type {Promise<RunState | undefined>} */
  done = Promise.resolve(undefined);
  /** @type {any} */
  #settle;

  /** @param {string} url @param {FollowOptions} options */
  constructor(url, options) {
    const { query = {} } = options;
    const other = OTHER_STREAMS.find((name) => name in query);
    if (other) throw new TypeError(`follow takes no query.${other}`);
    this.url = url.replace(/\/$/, "");
    this.options = options;
    /** Whether events may be missing, because the server was asked to leave some out. */
    this.isFiltered = Boolean(query.types || query.tasks || query.tail);
    this.isThrottled = Number(query.throttle) > 0;
    this.admits = matcher(options.types);
    this.#begin(options.after ?? 0);
    this.#open();
  }

  /**
   * The cursor behind an event. A log that has lost its end has given numbers anew: the server is told which are known.
   */
  after(seq = this.lastSeq) {
    return seq && seq + this.#epoch;
  }

  get hasEnded() {
    return this.#closed;
  }

  /** @param {{reconnect(): void, close(): void}} source */
  attach(source) {
    this.#source?.close();
    this.#source = source;
    if (this.#closed) source.close();
  }

  /** Tries again at once; also after the stream has failed. */
  reconnect() {
    if (this.status !== "failed") return this.#source?.reconnect();
    this.#open();
    this.attach(connect(streamed(this)));
  }

  /** Leaves. Nothing is called any more. */
  close = () => {
    this.#left = true;
    for (const waiting of this.#loops) waiting.length = 0;
    this.end();
  };

  /** The run has ended. */
  end() {
    if (this.#closed) return;
    this.#finish("ended");
    this.#settle.resolve(this.state);
  }

  /** @param {any} error */
  fail(error) {
    if (this.#closed) return;
    this.error = error;
    this.#finish("failed");
    this.#settle.reject(error);
    this.#call(this.options.onError, error);
  }

  /** @param {import("./types.js").Status} status @param {any} [detail] */
  setStatus(status, detail) {
    if (this.#closed || status === this.status) return;
    this.status = status;
    this.#call(this.options.onStatus, status, detail);
  }

  /**
   * A message of the stream: an event or a notice. Waits while a reader has too much before it.
   * @param {any} message
   * @returns {void | Promise<void>}
   * @throws {ReactorError} where the connection must be made anew
   */
  take(message) {
    if (this.#closed) return;
    if (message.seq === undefined) return this.#notice(message);
    const isLate = this.isThrottled && message.type === "task.progress"; // it may leave behind later events
    if (message.seq <= this.lastSeq && !isLate) return;
    if (message.seq > this.lastSeq + 1 && !this.isFiltered && !this.isThrottled) {
      throw new ReactorError(`event ${this.lastSeq + 1} is missing before ${message.seq}`);
    }
    this.lastSeq = Math.max(this.lastSeq, message.seq);
    addChunk(this.chunks, message);
    if (this.state) {
      evolve(this.state, message).seq = this.lastSeq;
      this.#call(this.options.onState, this.state, message);
    }
    return this.#pass(message);
  }

  /** @param {RunEvent} event @returns {Promise<void> | undefined} */
  #pass(event) {
    if (!this.#left && this.admits(event.type)) {
      this.#call(this.options.onEvent, event);
      for (const waiting of this.#loops) waiting.push(event);
      this.#wake();
    }
    if (TERMINAL.test(event.type)) this.end();
    else if (this.#isFull()) return this.#room();
  }

  /** @param {any} notice */
  #notice({ type, data }) {
    if (type === "stream.end") return this.end();
    if (type === "run.state") return this.#snapshot(data);
    if (type === "stream.gap") {
      // the state that follows a trimmed gap moves on; a connection that is cut before it is told of the gap again
      if (data.reason === "ahead" || data.reason === "rewound") this.#begin(0);
      if (data.epoch) this.#epoch = `~${data.epoch}`;
      return this.#call(this.options.onGap, data);
    }
    if (type !== "stream.closing") return;
    const isFinal = FINAL_CLOSINGS.includes(data.reason);
    throw Object.assign(new ReactorError(`the server closes: ${data.reason}`), { isFinal, wait: data.retry_ms });
  }

  /** @param {any} data */
  #snapshot(data) {
    const state = (this.#parts = addSnapshot(this.#parts, data));
    if (data.part !== data.parts) return;
    this.#parts = undefined;
    this.lastSeq = Math.max(this.lastSeq, state.seq);
    if (!this.isFiltered) this.state = state;
    if (this.state) this.#call(this.options.onState, state, undefined);
    if (RUN_ENDED.has(state.status)) this.end();
  }

  /** From here on nothing is known. @param {number} after */
  #begin(after) {
    this.lastSeq = after;
    this.chunks = /** @type {any} */ ({ __proto__: null });
    const runId = decodeURIComponent(/** @type {string} */ (this.url.split("/").pop()));
    this.state = after || this.isFiltered ? undefined : initialState(runId);
  }

  #open() {
    const { signal } = this.options;
    this.#closed = this.#left = false;
    this.error = undefined;
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.done.catch(() => {}); // nobody need look
    this.setStatus("connecting");
    signal?.addEventListener("abort", this.close);
    if (signal?.aborted) this.close();
  }

  /** @param {"ended" | "failed"} status */
  #finish(status) {
    this.#source?.close();
    this.setStatus(status, this.error);
    this.#closed = true;
    this.options.signal?.removeEventListener("abort", this.close);
    this.#wake();
  }

  /** What a handler throws is reported, and stops nothing. @param {any} handler @param {any[]} given */
  #call(handler, ...given) {
    try {
      if (!this.#left) handler?.(...given);
    } catch (error) {
      (globalThis.reportError ?? console.error)(error);
    }
  }

  /**
   * The events from now on; throws when the stream fails.
   * @returns {AsyncGenerator<RunEvent, undefined>}
   */
  async *[Symbol.asyncIterator]() {
    /** @type {RunEvent[]} */
    const waiting = [];
    this.#loops.add(waiting);
    try {
      while (waiting.length || !this.#closed) {
        const event = waiting.shift();
        if (!event) await this.#sleep();
        else {
          this.#wake();
          yield event;
        }
      }
    } finally {
      this.#loops.delete(waiting);
      this.#wake();
    }
    if (this.error) throw this.error;
  }

  #isFull() {
    return !this.#closed && [...this.#loops].some((waiting) => waiting.length >= MOST_WAITING);
  }

  /** The connection is read from again, once every loop has room. */
  async #room() {
    while (this.#isFull()) await this.#sleep();
  }

  /** Until something has changed. @returns {Promise<void>} */
  #sleep() {
    return new Promise((resolve) => this.#sleepers.push(resolve));
  }

  #wake() {
    for (const wake of this.#sleepers.splice(0)) wake();
  }
}

/** @param {string[] | undefined} globs @returns {(type: string) => boolean} */
export function matcher(globs) {
  const any = globs?.length ? globs.join("|") : "*";
  const escaped = any.replace(/[^\w*?|]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
  const pattern = new RegExp(`^(?:${escaped})$`);
  return (type) => pattern.test(type);
}
