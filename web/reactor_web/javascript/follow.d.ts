/**
 * Follows a run until it has ended. `for await (const event of stream)` gives its events from here on.
 * @param {string} url of the run, like "/api/v1/runs/r1"
 * @param {FollowOptions} [options]
 * @returns {Stream}
 */
export function follow(url: string, options?: FollowOptions): Stream;
/**
 * The connection of a stream: server-sent events, or pages where they do not get through.
 * @param {Stream} stream
 * @returns {import("./connection.js").Source}
 */
export function streamed(stream: Stream): import("./connection.js").Source;
/** @param {string[] | undefined} globs @returns {(type: string) => boolean} */
export function matcher(globs: string[] | undefined): (type: string) => boolean;
/** What a run has said so far. Somebody else brings the messages: `attach` names it. */
export class Stream {
    /** @param {string} url @param {FollowOptions} options */
    constructor(url: string, options: FollowOptions);
    /** @type {import("./types.js").Status} */
    status: import("./types.js").Status;
    /** The folded state; undefined where the stream does not have all events. @type {RunState | undefined} */
    state: RunState | undefined;
    /** The text that each task has streamed in its present attempt. @type {Record<string, {attempt: number, text: string}>} */
    chunks: Record<string, {
        attempt: number;
        text: string;
    }>;
    /** Why it has failed. @type {any} */
    error: any;
    /** The seq of the last event. */
    lastSeq: number;
    /** The last state, once the stream has ended; rejected if it has failed. @type {Promise<RunState | undefined>} */
    done: Promise<RunState | undefined>;
    url: string;
    options: import("./types.js").FollowOptions;
    /** Whether events may be missing, because the server was asked to leave some out. */
    isFiltered: boolean;
    isThrottled: boolean;
    admits: (type: string) => boolean;
    /**
     * The cursor behind an event. A log that has lost its end has given numbers anew: the server is told which are known.
     */
    after(seq?: number): string | 0;
    get hasEnded(): boolean;
    /** @param {{reconnect(): void, close(): void}} source */
    attach(source: {
        reconnect(): void;
        close(): void;
    }): void;
    /** Tries again at once; also after the stream has failed. */
    reconnect(): void;
    /** Leaves. Nothing is called any more. */
    close: () => void;
    /** The run has ended. */
    end(): void;
    /** @param {any} error */
    fail(error: any): void;
    /** @param {import("./types.js").Status} status @param {any} [detail] */
    setStatus(status: import("./types.js").Status, detail?: any): void;
    /**
     * A message of the stream: an event or a notice. Waits while a reader has too much before it.
     * @param {any} message
     * @returns {void | Promise<void>}
     * @throws {ReactorError} where the connection must be made anew
     */
    take(message: any): void | Promise<void>;
    /**
     * The events from now on; throws when the stream fails.
     * @returns {AsyncGenerator<RunEvent, undefined>}
     */
    [Symbol.asyncIterator](): AsyncGenerator<RunEvent, undefined>;
    #private;
}
export type RunEvent = import("./types.js").RunEvent;
export type RunState = import("./types.js").RunState;
export type FollowOptions = import("./types.js").FollowOptions;
