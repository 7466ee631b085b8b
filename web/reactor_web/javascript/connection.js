// A connection that is made again and again: backoff, silence, long polling where streams do not get through. It knows
// nothing of what comes over it.
import { FrameReader } from "./reader.js";
import { ReactorError, final, requestEvents, withQuery } from "./request.js";

const ATTEMPTS = 5;
const LONGEST_WAIT = 30_000;
const MOST_WAIT = 300_000;
const PROBE_EVERY = 30_000;
/** Longer than any page is waited for. */
const POLL_SILENCE = 330_000;
/** A page that comes sooner, and brings nothing, was not waited for. */
const SHORT_POLL = 1000;
/** What is heard, and whether the page has gone then: what was open brings nothing any more, also when it is back. */
const TURNS = { freeze: true, pagehide: true, resume: false, pageshow: false, online: null, visibilitychange: null };

/**
 * What a connection is for.
 * @typedef {object} Source
 * @property {any} options those of `follow` that are about requests, time and failures
 * @property {() => string} url asked for each attempt
 * @property {() => string | number | undefined} cursor sent as `after=`
 * @property {(frame: import("./reader.js").Frame) => void | Promise<void>} frame throws where the connection must be made anew
 * @property {(signal: AbortSignal) => Promise<void>} [poll] asks once without a stream, where five attempts in a row
 *   failed; takes nothing once it is aborted
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

/**
 * What goes on in one of the two loops: a stream, a page, or a pause before the next.
 * @typedef {{attempt?: AbortController, rests?: boolean}} Line
 */

class Connection {
  #closed = false;
  #isAway = false;
  #failures = 0;
  #retry = 1000;
  /** @type {Line} */
  #streams = {};
  /** While no stream gets through. @type {Line | undefined} */
  #pages;

  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { clock } = source.options;
    /** @type {Pick<import("./types.js").Clock, "setTimeout" | "clearTimeout">} */
    this.clock = clock ?? globalThis;
    /** @type {{now(): number}} */
    this.watch = clock ?? performance;
    this.#listen("addEventListener");
    queueMicrotask(() => this.#run());
  }

  /** Forgets the failures, and connects anew at once. */
  reconnect() {
    this.#failures = 0;
    this.#tell("reconnecting");
    this.#stop();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#listen("removeEventListener");
    this.#stop();
  }

  /** Whatever goes on is over, and no failure. */
  #stop() {
    this.#endPages();
    this.#streams.attempt?.abort(null);
  }

  /** The page has gone or is back or is looked at again, or the network is back. @param {any} event */
  #turn = ({ type, persisted = true }) => {
    if (!persisted) return; // the page begins or ends
    const isAway = TURNS[/** @type {keyof TURNS} */ (type)] ?? this.#isAway;
    if (isAway !== this.#isAway) this.reconnect();
    this.#isAway = isAway;
    if (!isAway && globalThis.document?.visibilityState !== "hidden") this.#goOn();
  };

  /** No more rest. */
  #goOn() {
    for (const line of [this.#streams, this.#pages]) if (line?.rests) line.attempt?.abort();
  }

  /** Those of the document pass the window on their way. @param {"addEventListener" | "removeEventListener"} change */
  #listen(change) {
    for (const type in TURNS) globalThis[change]?.(type, this.#turn, true);
  }

  /** Streams, one after the other; beside them pages, once none gets through. */
  async #run() {
    while (!this.#closed) {
      const error = await (this.#isAway ? this.#pause(this.#streams, 0) : this.#stream());
      if (!error || this.#isOver(error)) continue;
      const polls = this.source.poll && this.#failures >= ATTEMPTS;
      if (!polls) this.#tell("reconnecting", error);
      else if (!this.#pages) this.#poll(error);
      await this.#pause(this.#streams, Math.max(this.#pages ? PROBE_EVERY : 0, this.#wait(error.wait)));
    }
  }

  /** Pages, until a stream gets through. @param {any} error why they are needed */
  async #poll(error) {
    /** @type {Line} */
    const pages = (this.#pages = {});
    this.#tell("polling", error);
    while (this.#pages === pages) {
      const [cursor, asked] = [this.source.cursor(), this.watch.now()];
      const error = await this.#try(pages, POLL_SILENCE, async (signal) => this.source.poll?.(signal));
      if (this.#pages !== pages) return;
      if (!error && this.#failures > ATTEMPTS) this.#goOn(); // perhaps streams get through, too
      this.#failures = error ? this.#failures + 1 : ATTEMPTS;
      if (error && this.#isOver(error)) return;
      const isIdle = cursor === this.source.cursor() && this.watch.now() - asked < SHORT_POLL; // nobody made it wait
      if (error || isIdle) await this.#pause(pages, this.#wait(error?.wait));
    }
  }

  #endPages() {
    this.#pages?.attempt?.abort();
    this.#pages = undefined;
  }

  /** Whether it is no use to go on, or nobody wants it to. @param {any} error */
  #isOver(error) {
    const { maxFailures = Infinity } = this.source.options;
    if (!this.#closed && (error.isFinal || this.#failures >= maxFailures)) {
      this.close();
      this.source.fail(error);
    }
    return this.#closed;
  }

  /**
   * Some work that is given up when nothing is heard for too long, when somebody asks for another, or when all is closed;
   * also where it waits for a token that never comes. Gives why it has ended; nothing where the next is to begin at once.
   * @param {Line} line
   * @param {number} patience milliseconds
   * @param {(signal: AbortSignal, heard: (patience: number) => void) => Promise<any>} work  0: patience without end
   * @returns {Promise<any>}
   */
  async #try(line, patience, work) {
    const attempt = (line.attempt = new AbortController());
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

  /** @param {Line} line @param {number} ms 0: until somebody goes on @returns {Promise<void>} */
  async #pause(line, ms) {
    line.rests = true;
    await this.#try(line, ms, () => new Promise(() => {}));
    line.rests = false;
  }

  /** One stream, until it is lost. Gives why. */
  #stream() {
    const { source } = this;
    const silence = 3000 * (source.options.heartbeat ?? 15);
    if (!this.#pages) this.#failures += 1;
    return this.#try(this.#streams, silence, async (signal, heard) => {
      const cursor = source.cursor();
      const url = withQuery(source.url(), { after: cursor || undefined });
      const answer = await requestEvents(url, { ...source.options, signal }, "text/event-stream");
      if (answer.status === 204) {
        this.close();
        return source.end?.();
      }
      const isLost = await this.#read(answer, (patience = silence) => heard(patience), signal, cursor);
      return isLost && new ReactorError("the stream ended early");
    });
  }

  /**
   * @param {Response} answer
   * @param {(patience?: number) => void} heard
   * @param {AbortSignal} signal
   * @param {any} cursor with which it was asked for
   * @returns {Promise<boolean>} false where pages have gone on meanwhile: then a stream from there is needed
   */
  async #read(answer, heard, signal, cursor) {
    const type = answer.headers.get("Content-Type") ?? "nothing";
    if (!/^text\/event-stream *(;|$)/i.test(type)) throw final(`${answer.url} answers with ${type}`, answer.status);
    const frames = new FrameReader();
    const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
    const opened = this.watch.now();
    for (let isFirst = true; ; isFirst = false) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return true;
      if (isFirst) {
        this.#endPages();
        if (cursor !== this.source.cursor()) return false;
        this.#tell("live");
      }
      heard(0); // whoever takes the events may be slow: then the server is not read from, and not at fault
      const found = frames.push(value);
      if (frames.retry !== undefined) this.#retry = frames.retry;
      // a proxy may cut a run that says nothing for hours again and again: that is no failure
      if (this.watch.now() - opened > 15_000) this.#failures = 0;
      for (const frame of found) {
        const wait = this.source.frame(frame);
        this.#failures = 0; // what nobody can take is as good as nothing
        if (wait) await wait;
        if (signal.aborted) return true;
      }
      heard();
    }
  }

  /** @param {"live"|"reconnecting"|"polling"} status @param {any} [detail] */
  #tell(status, detail) {
    if (!this.#closed) this.source.status(status, detail);
  }

  /** Milliseconds before the next attempt: never fewer than the server asked for, more with each failure in a row. */
  #wait(least = 0) {
    const { random = Math.random } = this.source.options;
    const retry = Math.max(100, this.#retry);
    const backoff = Math.min(LONGEST_WAIT, (retry * 2 ** this.#failures) / 2);
    return Math.max(backoff, Math.min(MOST_WAIT, Math.max(retry, least))) * (1 + random() / 4);
  }
}
