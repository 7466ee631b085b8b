// `follow`: one run, live. Its events come once and in order, over as many connections as it takes.
import { addChunk } from "./chunks.js";
import { connect } from "./connection.js";
import { RUN_ENDED, evolve, fromSnapshot, initialState } from "./fold.js";
import { parse } from "./json.js";
import { ReactorError, requestEvents, withQuery } from "./request.js";

/** @typedef {import("./types.js").RunEvent} RunEvent */
/** @typedef {import("./types.js").RunState} RunState */
/** @typedef {import("./types.js").FollowOptions} FollowOptions */

const MOST_WAITING = 1000;
const TERMINAL = /^run\.(completed|failed|cancelled)$/;
const FINAL_CLOSINGS = /** @type {Record<string, string>} */ ({
  not_found: "the server has no such run",
  not_recovered: "the server does not have the workflow of this run",
});

/**
 * Follows a run until it has ended. `for await (const event of stream)` gives its events from here on.
 * @param {string} url of the run, like "/api/v1/runs/r1"
 * @param {FollowOptions} [options]
 * @returns {Stream}
 */
export function follow(url, options = {}) {
  const stream = new Stream(url, options);
  if (!options.signal?.aborted) stream.attach(connect(streamed(stream)));
  return stream;
}

/**
 * The connection of a stream: server-sent events, or pages where they do not get through.
 * @param {Stream} stream
 * @returns {import("./connection.js").Source}
 */
export function streamed(stream) {
  const { url, options } = stream;
  const query = { ...options.query };
  if (!("throttle" in query)) query.throttle = 0;
  const snapshot = () => (options.snapshot && !stream.lastSeq ? 1 : undefined);
  return {
    options,
    url: () =>
      withQuery(`${url}/events`, {
        ...query, dialect: "native", heartbeat: options.heartbeat ?? 15, await_run: options.awaitRun, snapshot: snapshot(),
      }),
    cursor: () => stream.lastSeq,
    frame: (frame) => stream.take(parse(frame.data)),
    async poll(signal) {
      const { types, tasks } = query;
      const page = withQuery(`${url}/events`, {
        types, tasks, after: stream.lastSeq || undefined, snapshot: snapshot(), wait: options.pollWait ?? 25, await_run: options.awaitRun,
      });
      const answer = await requestEvents(page, { ...options, signal }, "application/json");
      const { events, cursor, ended } = parse(await answer.text());
      for (const message of events) await stream.take(message);
      if (cursor > stream.lastSeq && stream.isFiltered) stream.lastSeq = cursor;
      if (ended && !events.length) stream.end();
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
  /** @type {{reconnect(): void, close(): void} | undefined} */
  #source;
  /** The parts of a state that comes in several messages. @type {any} */
  #parts;
  /** @type {Set<Reader>} */
  #readers = new Set();
  /** @type {any} */
  #settle;

  /** @param {string} url @param {FollowOptions} options */
  constructor(url, options) {
    this.url = url.replace(/\/$/, "");
    this.options = options;
    /** Whether events may be missing, because the server was asked to leave some out. */
    this.isFiltered = ["types", "tasks", "tail"].some((name) => options.query?.[name]);
    this.isThrottled = Boolean(options.query?.throttle);
    this.admits = matcher(options.types);
    /** The last state, once the stream has ended; rejected if it has failed. @type {Promise<RunState | undefined>} */
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.done.catch(() => {}); // nobody need look
    this.#begin(options.after ?? 0);
    options.signal?.addEventListener("abort", this.close);
    if (options.signal?.aborted) this.close();
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
    if (this.status === "failed") this.#revive();
    this.#source?.reconnect();
  }

  /** Leaves. Nothing is called any more. */
  close = () => {
    if (!this.#closed) this.#finish("ended", () => this.#settle.resolve(this.state), false);
  };

  /** The run has ended. */
  end() {
    if (!this.#closed) this.#finish("ended", () => this.#settle.resolve(this.state));
  }

  /** @param {any} error */
  fail(error) {
    if (this.#closed) return;
    this.error = error;
    this.#finish("failed", () => this.#settle.reject(error));
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
    if (this.state) evolve(this.state, message).seq = this.lastSeq;
    addChunk(this.chunks, message);
    if (this.state) this.#call(this.options.onState, this.state, message);
    return this.#pass(message);
  }

  /** @param {RunEvent} event */
  #pass(event) {
    let wait;
    if (this.admits(event.type)) {
      this.#call(this.options.onEvent, event);
      for (const reader of this.#readers) wait = reader.push(event) ?? wait;
    }
    if (TERMINAL.test(event.type)) this.end();
    return wait;
  }

  /** @param {any} notice */
  #notice({ type, data }) {
    if (type === "stream.end") return this.end();
    if (type === "run.state") return this.#snapshot(data);
    if (type === "stream.gap") {
      // the state that follows a trimmed gap moves on; a connection that is cut before it is told of the gap again
      if (data.reason === "ahead" || data.reason === "rewound") this.#begin(0);
      return this.#call(this.options.onGap, data);
    }
    if (type !== "stream.closing") return;
    const error = new ReactorError(FINAL_CLOSINGS[data.reason] ?? `the server closes: ${data.reason}`);
    error.isFinal = data.reason in FINAL_CLOSINGS;
    error.wait = data.retry_ms ?? 0;
    throw error;
  }

  /** @param {any} data */
  #snapshot(data) {
    if ((data.part ?? 1) === 1) this.#parts = { ...data, tasks: { __proto__: null } };
    Object.assign(this.#parts.tasks, data.tasks);
    if (data.children) this.#parts.children = { __proto__: null, ...this.#parts.children, ...data.children };
    if (data.part !== data.parts) return;
    const state = fromSnapshot(this.#parts);
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
    const runId = decodeURIComponent(this.url.slice(this.url.lastIndexOf("/") + 1));
    this.state = after || this.isFiltered ? undefined : initialState(runId);
  }

  #revive() {
    this.#closed = false;
    this.error = undefined;
    this.setStatus("connecting");
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.done.catch(() => {});
    this.attach(connect(streamed(this)));
  }

  /** @param {"ended" | "failed"} status @param {() => void} settle */
  #finish(status, settle, tells = true) {
    this.#source?.close();
    if (tells) this.setStatus(status, this.error);
    this.#closed = true;
    this.status = status;
    this.options.signal?.removeEventListener("abort", this.close);
    for (const reader of this.#readers) reader.end(this.error);
    this.#readers.clear();
    settle();
  }

  /** What a handler throws is reported, and stops nothing. @param {any} handler @param {any[]} given */
  #call(handler, ...given) {
    try {
      handler?.(...given);
    } catch (error) {
      (globalThis.reportError ?? console.error)(error);
    }
  }

  /** The events from now on; throws when the stream fails. @returns {AsyncIterator<RunEvent, undefined>} */
  [Symbol.asyncIterator]() {
    const reader = new Reader((gone) => this.#readers.delete(gone));
    if (this.#closed) reader.end(this.error);
    else this.#readers.add(reader);
    return reader;
  }
}

/** One loop over a stream, with the events that wait for it. */
class Reader {
  /** @type {RunEvent[]} */
  #waiting = [];
  #ended = false;
  /** @type {any} */
  #error;
  /** @type {(() => void) | undefined} */
  #came;
  /** @type {(() => void) | undefined} */
  #taken;

  /** @param {(reader: Reader) => void} leave */
  constructor(leave) {
    this.leave = leave;
  }

  /** @param {RunEvent} event @returns {Promise<void> | undefined} */
  push(event) {
    this.#waiting.push(event);
    this.#came?.();
    if (this.#waiting.length >= MOST_WAITING) return new Promise((resolve) => (this.#taken = resolve));
  }

  /** @param {any} error */
  end(error) {
    this.#ended = true;
    this.#error = error;
    this.#came?.();
    this.#taken?.();
  }

  /** @returns {Promise<IteratorResult<RunEvent, undefined>>} */
  async next() {
    while (!this.#waiting.length && !this.#ended) {
      await /** @type {Promise<void>} */ (new Promise((resolve) => (this.#came = resolve)));
    }
    const value = this.#waiting.shift();
    if (this.#waiting.length < MOST_WAITING) this.#taken?.();
    if (value) return { done: false, value };
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
    return { done: true, value: undefined };
  }

  /** @returns {Promise<IteratorResult<RunEvent, undefined>>} */
  async return() {
    this.#waiting = [];
    this.leave(this);
    this.end(undefined);
    return { done: true, value: undefined };
  }
}

/** @param {string[] | undefined} globs @returns {(type: string) => boolean} */
export function matcher(globs) {
  if (!globs?.length) return () => true;
  const parts = globs.map((glob) => glob.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, "."));
  const pattern = new RegExp(`^(?:${parts.join("|")})$`);
  return (type) => pattern.test(type);
}
