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
export function followAll(base: string, runIds: Iterable<string>, options?: AllOptions & import("./types.js").RequestOptions): Many;
export type AllOptions = {
    onEvent?: ((event: import("./types.js").RunEvent, runId: string) => void) | undefined;
    onState?: ((state: import("./types.js").RunState, runId: string) => void) | undefined;
    onGap?: ((gap: import("./types.js").Gap, runId: string) => void) | undefined;
    /**
     * this run has failed; the others go on
     */
    onError?: ((error: Error, runId: string) => void) | undefined;
    /**
     * of the connection
     */
    onStatus?: ((status: import("./types.js").Status, detail?: any) => void) | undefined;
    types?: string[] | undefined;
    heartbeat?: number | undefined;
    maxFailures?: number | undefined;
    clock?: import("./types.js").Clock | undefined;
    random?: (() => number) | undefined;
};
declare class Many {
    /** @param {string} base @param {Iterable<string>} runIds @param {AllOptions} options */
    constructor(base: string, runIds: Iterable<string>, options: AllOptions);
    /** @type {import("./types.js").Status} */
    status: import("./types.js").Status;
    /** @type {Error | undefined} */
    error: Error | undefined;
    base: string;
    options: AllOptions;
    /** The states, once all runs have ended. @type {Promise<Record<string, any>>} */
    done: Promise<Record<string, any>>;
    hub: Hub;
    /** The folded state of each run. */
    get states(): {
        [k: string]: import("./types.js").RunState | undefined;
    };
    /** Follows this run, too. What it has said so far comes first. @param {string} run */
    add(run: string): void;
    /** @param {string} run */
    remove(run: string): void;
    reconnect(): void;
    close(): void;
    #private;
}
import { Hub } from "./hub.js";
export {};
