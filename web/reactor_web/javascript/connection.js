// A connection that is made again and again: backoff, silence, long polling where streams do not get through. It knows
// nothing of what comes over it.
import { FrameReader } from "./reader.js";
import { ReactorError, requestEvents, withQuery } from "./request.js";

const ATTEMPTS = 5;
const LONGEST_WAIT = 30_000;
const MOST_WAIT = 300_000;
const PROBE_EVERY = 30_000;
const PROBE_SILENCE = 10_000;
/** Longer than any page is waited for. */
const POLL_SILENCE = 330_000;

/** @type {import("./types.js").Clock} */
const CLOCK = {
  now: () => performance.now(),
  setTimeout: (call, ms) => setTimeout(call, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/**
 * What a connection is for.
 * @typedef {object} Source
 * @property {any} options those of `follow` that are about requests, time and failures
 * @property {() => string} url asked for each attempt
 * @property {() => string | number | undefined} [cursor] sent as `after=`
 * @property {(frame: import("./reader.js").Frame) => void | Promise<void>} frame throws where the connection must be made anew
 * @property {(signal: AbortSignal) => Promise<void>} [poll] asks once without a stream, where five attempts in a row failed
 * @property {(status: "connecting"|"live"|"reconnecting"|"polling", detail?: any) => void} status
 * @property {() => void} [end] the server says that nothing more will come
 * @property {(error: any) => void} fail it is no use to go on
 */

/**
 * Connects, and connects again until it is closed, the source has ended, or it is no use.
 * @param {Source} source
 */
export function connect(source) {
  return new Connection(source);
}

class Connection {
  #closed = false;
  #failures = 0;
  #retry = 1000;
  #probeAt = 0;
  #isAsked = false;
  /** @type {AbortController | undefined} */
  #attempt;
  /** Ends a pause early. @type {(() => void) | undefined} */
  #wake;

  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    this.clock = source.options.clock ?? CLOCK;
    this.#listen("addEventListener");
    queueMicrotask(() => this.#run());
  }

  /** Forgets the failures, and connects anew at once. */
  reconnect() {
    this.#failures = 0;
    if (this.#wake) return this.#wake();
    this.#isAsked = true;
    this.#attempt?.abort();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#listen("removeEventListener");
    this.#attempt?.abort();
    this.#wake?.();
  }

  /** The network is back, or the page is looked at again. */
  #isBack = () => {
    if (globalThis.document?.visibilityState !== "hidden") this.#wake?.();
  };

  /** @param {"addEventListener" | "removeEventListener"} change */
  #listen(change) {
    for (const type of ["online", "pageshow"]) globalThis[change]?.(type, this.#isBack);
    globalThis.document?.[change]("visibilitychange", this.#isBack);
  }

  async #run() {
    while (!this.#closed) {
      const polls = this.source.poll && this.#failures >= ATTEMPTS;
      const error = polls ? await this.#poll() : await this.#stream();
      if (this.#closed) return;
      if (this.#isAsked) {
        this.#failures = 0;
        this.#isAsked = false;
        this.#tell("reconnecting");
        continue;
      }
      const { maxFailures = Infinity } = this.source.options;
      if (error?.isFinal || this.#failures >= maxFailures) {
        this.close();
        return this.source.fail(error);
      }
      if (polls && !error) continue;
      if (polls || !this.source.poll || this.#failures < ATTEMPTS) {
        if (!polls) this.#tell("reconnecting", error);
        await this.#pause(this.#wait(error?.wait));
      } else this.#tell("polling", error);
    }
  }

  /**
   * Some work that is given up when nothing is heard for too long, when somebody asks for another, or when all is closed;
   * also where it waits for a token that never comes. Gives why it has ended.
   * @param {number} patience milliseconds
   * @param {(signal: AbortSignal, heard: (patience: number) => void) => Promise<any>} work  0: patience without end
   * @returns {Promise<any>}
   */
  async #try(patience, work) {
    const attempt = (this.#attempt = new AbortController());
    const { signal } = attempt;
    /** @type {any} */
    let timer;
    const heard = (/** @type {number} */ ms) => {
      this.clock.clearTimeout(timer);
      if (ms) timer = this.clock.setTimeout(() => attempt.abort(new ReactorError("it was silent for too long")), ms);
    };
    const given = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    heard(patience);
    try {
      return await Promise.race([work(signal, heard), given]);
    } catch (error) {
      return error;
    } finally {
      this.clock.clearTimeout(timer);
      attempt.abort(); // lets go of what is left of the body
    }
  }

  /** One stream, until it is lost. Gives why. @param {number} [first] milliseconds until its first byte */
  #stream(first) {
    const { source } = this;
    const silence = 3000 * (source.options.heartbeat ?? 15);
    this.#failures += 1;
    return this.#try(first ?? silence, async (signal, heard) => {
      const url = withQuery(source.url(), { after: source.cursor?.() || undefined });
      const answer = await requestEvents(url, { ...source.options, signal }, "text/event-stream");
      if (answer.status === 204) {
        this.close();
        source.end?.();
      } else await this.#read(answer, (patience = silence) => heard(patience), signal);
      return this.#closed ? undefined : new ReactorError("the stream ended early");
    });
  }

  /** @param {Response} answer @param {(patience?: number) => void} heard @param {AbortSignal} signal */
  async #read(answer, heard, signal) {
    const type = answer.headers.get("Content-Type") ?? "nothing";
    if (!type.startsWith("text/event-stream")) {
      const error = new ReactorError(`${answer.url} answers with ${type}`, answer.status);
      error.isFinal = true;
      throw error;
    }
    const frames = new FrameReader();
    const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
    const opened = this.clock.now();
    this.#tell("live");
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      heard(0); // whoever takes the events may be slow: then the server is not read from, and not at fault
      const found = frames.push(value);
      if (frames.retry !== undefined) this.#retry = frames.retry;
      // a proxy may cut a run that says nothing for hours again and again: that is no failure
      if (found.length || this.clock.now() - opened > 15_000) this.#failures = 0;
      for (const frame of found) {
        const wait = this.source.frame(frame);
        if (wait) await wait;
        if (signal.aborted) return;
      }
      heard();
    }
  }

  /** One poll, or once in a while a stream in its place. Gives why it failed. @returns {Promise<any>} */
  async #poll() {
    const now = this.clock.now();
    this.#probeAt ||= now + PROBE_EVERY;
    if (now >= this.#probeAt) {
      const before = this.#failures;
      const error = await this.#stream(PROBE_SILENCE);
      this.#probeAt = 0;
      if (error?.isFinal) return error;
      this.#failures = Math.min(this.#failures, before);
      this.#tell(this.#failures < ATTEMPTS ? "reconnecting" : "polling", error);
      return undefined;
    }
    const error = await this.#try(POLL_SILENCE, async (signal) => this.source.poll?.(signal));
    this.#failures = error ? this.#failures + 1 : ATTEMPTS;
    return error;
  }

  /** @param {"live"|"reconnecting"|"polling"} status @param {any} [detail] */
  #tell(status, detail) {
    if (!this.#closed) this.source.status(status, detail);
  }

  /** Milliseconds before the next attempt: never fewer than the server asked for, more with each failure in a row. */
  #wait(least = 0) {
    const { random = Math.random } = this.source.options;
    const retry = Math.max(100, this.#retry);
    const floor = Math.min(MOST_WAIT, Math.max(retry, least));
    const ceiling = Math.max(floor * 1.25, Math.min(LONGEST_WAIT, retry * 2 ** Math.max(0, this.#failures - 1)));
    const from = Math.max(floor, ceiling * 0.75);
    return from + random() * (ceiling - from);
  }

  /** @param {number} ms @returns {Promise<void>} */
  #pause(ms) {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.clock.setTimeout(() => this.#wake?.(), ms);
      this.#wake = () => {
        this.clock.clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
