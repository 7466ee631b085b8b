// `followAll`: many runs on one connection, each with a state of its own.
import { Stream } from "./follow.js";
import { Hub, MOST_RUNS } from "./hub.js";
import { Lane } from "./lane.js";

/**
 * @typedef {object} AllOptions
 * @property {(event: import("./types.js").RunEvent, runId: string) => void} [onEvent]
 * @property {(state: import("./types.js").RunState, runId: string) => void} [onState]
 * @property {(gap: import("./types.js").Gap, runId: string) => void} [onGap]
 * @property {(error: Error, runId: string) => void} [onError] this run has failed; the others go on
 * @property {(status: import("./types.js").Status, detail?: any) => void} [onStatus] of the connection
 * @property {string[]} [types]
 * @property {number} [heartbeat]
 * @property {number} [maxFailures]
 * @property {import("./types.js").Clock} [clock]
 * @property {() => number} [random]
 */

/**
 * @param {string} base "/api/v1"
 * @param {Iterable<string>} runIds at most 100; also runs that have not started yet
 * @param {AllOptions & import("./types.js").RequestOptions} [options] as those of `follow`
 */
export function followAll(base, runIds, options = {}) {
  return new Many(base, runIds, options);
}

class Many {
  /** @type {import("./types.js").Status} */
  status = "connecting";
  /** @type {Error | undefined} */
  error;
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  /** @type {any} */
  #settle;

  /** @param {string} base @param {Iterable<string>} runIds @param {AllOptions} options */
  constructor(base, runIds, options) {
    this.base = new URL(base, globalThis.location?.href).href.replace(/\/$/, "");
    this.options = options;
    /** The states, once all runs have ended. @type {Promise<Record<string, any>>} */
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.done.catch(() => {}); // nobody need look
    this.hub = new Hub(this.base, options, {
      events: (events) => events.forEach(([run, seq, data]) => this.#lanes.get(run)?.push(seq, data)),
      changed: () => this.#changed(),
    });
    for (const run of runIds) this.#add(run);
    this.#want();
  }

  /** The folded state of each run. */
  get states() {
    return Object.fromEntries([...this.#lanes].map(([run, { stream }]) => [run, stream.state]));
  }

  /** Follows this run, too. What it has said so far comes first. @param {string} run */
  add(run) {
    if (!this.#lanes.has(run)) this.#add(run);
    this.#want();
    this.#lanes.get(run)?.hear(this.hub.report()); // the connection may have it already, and nothing more to report
  }

  /** @param {string} run */
  remove(run) {
    this.#lanes.get(run)?.stream.close();
    this.#lanes.delete(run);
    this.#want();
  }

  reconnect() {
    this.hub.reconnect();
  }

  close() {
    for (const { stream } of this.#lanes.values()) stream.close();
    this.#want();
  }

  /** @param {string} run */
  #add(run) {
    if (this.#open().length >= MOST_RUNS) throw new RangeError(`followAll follows at most ${MOST_RUNS} runs at once`);
    if (!/^[\w.~-]{1,64}$/.test(run)) throw new TypeError(`this is not a valid run id: ${run}`);
    /** @type {any} */
    const options = { ...this.options, awaitRun: Infinity, snapshot: false, after: 0, query: undefined };
    for (const name of ["onEvent", "onState", "onGap", "onError"]) {
      options[name] = (/** @type {any} */ told) => /** @type {any} */ (this.options)[name]?.(told, run);
    }
    options.onStatus = undefined;
    const stream = new Stream(`${this.base}/runs/${run}`, options);
    const lane = new Lane(run, stream);
    const close = () => {
      lane.close();
      queueMicrotask(() => this.#want());
    };
    stream.attach({ reconnect: () => this.reconnect(), close });
    this.#lanes.set(run, lane);
  }

  /** The runs that have not ended. */
  #open() {
    return [...this.#lanes.values()].filter(({ stream }) => !stream.hasEnded).map(({ run }) => run);
  }

  #want() {
    const open = this.#open();
    this.hub.want(open);
    if (open.length) return;
    this.#tell("ended");
    this.#settle.resolve(this.states);
  }

  #changed() {
    const report = this.hub.report();
    if (this.hub.refused) this.#fail(this.hub.refused);
    else {
      this.#lanes.forEach((lane) => lane.hear(report));
      this.#tell(report.status, report.detail);
    }
  }

  /** @param {Error} error */
  #fail(error) {
    this.error = error;
    this.#tell("failed", error);
    this.#settle.reject(error);
    this.close();
  }

  /** @param {import("./types.js").Status} status @param {any} [detail] */
  #tell(status, detail) {
    if (status === this.status || this.status === "failed") return;
    this.status = status;
    this.options.onStatus?.(status, detail);
  }
}
