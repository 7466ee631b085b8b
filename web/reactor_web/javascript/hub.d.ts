/** The server takes no more on one connection. */
export const MOST_RUNS: 100;
/**
 * @typedef {[run: string, seq: number, data: string]} Sent  an event as the server wrote it
 * @typedef {ReturnType<Hub["report"]>} Report
 * @typedef {{events(events: Sent[], position: string): void, changed(): void}} Ears  `changed`: there is another report
 */
export class Hub {
    /**
     * @param {string} base @param {any} options as of `follow` @param {Ears} ears
     * @param {number} settle  ms in which others may still want a run, before a connection is made
     */
    constructor(base: string, options: any, ears: Ears, settle?: number);
    position: string;
    /** @type {import("./types.js").Status} */
    status: import("./types.js").Status;
    /** Why the connection is away. @type {string | undefined} */
    detail: string | undefined;
    /** Why there is no connection, and will be none. @type {Error | undefined} */
    refused: Error | undefined;
    base: string;
    options: any;
    ears: Ears;
    settle: number;
    clock: any;
    report(): {
        /** What was said of another connection has no meaning for this one. */
        id: string;
        runs: {
            [k: string]: number;
        };
        /** Each run is sent from its first event on, and nothing was sent yet. */
        isFresh: boolean;
        /** Runs that have no room. */
        left: string[];
        refused: string | undefined;
        status: import("./types.js").Status;
        detail: string | undefined;
    };
    /** A new connection from the same position, if some of these runs are new. @param {Iterable<string>} runs */
    want(runs: Iterable<string>): void;
    /**
     * Others were further on: it goes on from there, if it has nothing yet. Whoever was promised all from the first
     * event on hears of another connection, and looks for what is before. A log that has lost its end is an exception:
     * what they were at is not there any more.
     * @param {string} position
     */
    moveTo(position: string): void;
    reconnect(): void;
    close(): void;
    #private;
}
/**
 * an event as the server wrote it
 */
export type Sent = [run: string, seq: number, data: string];
export type Report = ReturnType<Hub["report"]>;
/**
 * `changed`: there is another report
 */
export type Ears = {
    events(events: Sent[], position: string): void;
    changed(): void;
};
