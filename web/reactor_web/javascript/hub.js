// One connection to `GET /events?runs=`. Of its runs it keeps nothing but how far it is.
import { newId } from "./election.js";
import { connect } from "./connection.js";
import { parse, stringify } from "./json.js";
import { ReactorError, requestEvents, withQuery } from "./request.js";

/** The server takes no more on one connection. */
export const MOST_RUNS = 100;
const POLL_SECONDS = 25;

/**
 * @typedef {[run: string, seq: number, data: string]} Sent  an event as the server wrote it
 * @typedef {ReturnType<Hub["report"]>} Report
 * @typedef {{events(events: Sent[], position: string): void, changed(): void}} Ears  `changed`: there is another report
 */

export class Hub {
  position = "0";
  /** @type {import("./types.js").Status} */
  status = "connecting";
  /** Why the connection is away. @type {string | undefined} */
  detail;
  /** Why there is no connection, and will be none. @type {Error | undefined} */
  refused;
  #id = newId();
  /** The log has lost its end: a lane may have what is not there any more. */
  #isAnew = false;
  /** Each run of this connection, and the last seq that came over it. @type {Map<string, number>} */
  #runs = new Map();
  /** @type {string[]} */
  #wanted = [];
  /** @type {Sent[]} */
  #out = [];
  /** @type {ReturnType<typeof connect> | undefined} */
  #connection;
  /** @type {any} */
  #timer;

  /**
   * @param {string} base @param {any} options as of `follow` @param {Ears} ears
   * @param {number} settle  ms in which others may still want a run, before a connection is made
   */
  constructor(base, options, ears, settle = 0) {
    this.base = base;
    this.options = options;
    this.ears = ears;
    this.settle = settle;
    this.clock = options.clock ?? globalThis;
  }

  report() {
    const { status, detail } = this;
    return {
      /** What was said of another connection has no meaning for this one. */
      id: this.#id,
      runs: Object.fromEntries(this.#runs),
      /** Each run is sent from its first event on, and nothing was sent yet. */
      isFresh: this.position === "0" && !this.#isAnew,
      /** Runs that have no room. */
      left: this.#wanted.slice(MOST_RUNS),
      refused: this.refused?.message,
      status,
      detail,
    };
  }

  /** A new connection from the same position, if some of these runs are new. @param {Iterable<string>} runs */
  want(runs) {
    this.#wanted = [...new Set(runs)];
    if (!this.#wanted.length) {
      this.close();
      this.refused = undefined; // whoever comes next may try
    } else if (!this.refused && this.#wanted.some((run) => !this.#runs.has(run))) {
      this.#timer ??= this.clock.setTimeout(() => this.#open(), this.settle);
    }
  }

  /**
   * Others were further on: it goes on from there, if it has nothing yet. Whoever was promised all from the first
   * event on hears of another connection, and looks for what is before. A log that has lost its end is an exception:
   * what they were at is not there any more.
   * @param {string} position
   */
  moveTo(position) {
    if (this.position !== "0" || this.#isAnew) return;
    this.position = position;
    this.#id = newId();
    if (this.#connection) this.#open();
  }

  reconnect() {
    this.#connection?.reconnect();
  }

  close() {
    this.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#connection?.close();
    this.#connection = undefined;
    this.#runs.clear();
  }

  #open() {
    const before = new Map(this.#runs);
    this.close();
    const runs = this.#wanted.slice(0, MOST_RUNS);
    // No event of these is missed from here on: what a page does not have yet is behind this position.
    for (const run of runs) this.#runs.set(run, before.get(run) ?? 0);
    const url = (/** @type {any} */ more) => withQuery(`${this.base}/events`, { runs, ...more });
    const connection = (this.#connection = connect({
      options: this.options,
      url: () => url({ dialect: "native", heartbeat: this.options.heartbeat ?? 15 }),
      cursor: () => this.position,
      frame: ({ data, id }) => {
        if (connection === this.#connection) this.#take(parse(data), data, id);
      },
      poll: async (signal) => {
        const page = url({ after: this.position, wait: POLL_SECONDS });
        const answer = await requestEvents(page, { ...this.options, signal }, "application/json");
        const { events, cursor } = parse(await answer.text());
        if (signal.aborted) return;
        for (const event of events) this.#take(event, stringify(event), cursor);
      },
      status: (status, detail) => this.#tell({ status, detail: detail && `${detail.message ?? detail}` }),
      fail: (refused) => {
        this.close();
        this.#tell({ refused });
      },
    }));
    this.#tell({});
  }

  /** @param {any} news */
  #tell(news) {
    Object.assign(this, news);
    this.ears.changed();
  }

  /** @param {any} message @param {string} text @param {string} position */
  #take({ seq, run_id: run, type, data: { reason, retry_ms: wait } }, text, position) {
    if (position) this.position = position;
    if (seq) {
      if (!this.#out.length) queueMicrotask(() => this.ears.events(this.#out.splice(0), this.position));
      this.#out.push([run, seq, text]);
      this.#runs.set(run, seq);
    } else if (type === "stream.gap") {
      if (reason === "ahead" || reason === "rewound") [this.position, this.#isAnew] = ["0", true];
      this.#id = newId(); // all look for themselves what is missing of their runs
      this.#tell({});
    } else throw Object.assign(new ReactorError(`the server closes the stream: ${reason}`), { wait });
  }
}
