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
export function connect(source: Source): Connection;
/**
 * What a connection is for.
 */
export type Source = {
    /**
     * those of `follow` that are about requests, time and failures
     */
    options: any;
    /**
     * asked for each attempt
     */
    url: () => string;
    /**
     * sent as `after=`
     */
    cursor: () => string | number | undefined;
    /**
     * throws where the connection must be made anew
     */
    frame: (frame: import("./reader.js").Frame) => void | Promise<void>;
    /**
     * asks once without a stream, where five attempts in a row
     * failed; takes nothing once it is aborted
     */
    poll?: ((signal: AbortSignal) => Promise<void>) | undefined;
    status: (status: "connecting" | "live" | "reconnecting" | "polling", detail?: any) => void;
    /**
     * the server says that nothing more will come
     */
    end?: (() => void) | undefined;
    /**
     * it is no use to go on
     */
    fail: (error: any) => void;
};
/**
 * What goes on in one of the two loops: a stream, a page, or a pause before the next.
 */
export type Line = {
    attempt?: AbortController;
    rests?: boolean;
};
/**
 * What goes on in one of the two loops: a stream, a page, or a pause before the next.
 * @typedef {{attempt?: AbortController, rests?: boolean}} Line
 */
declare class Connection {
    /** @param {Source} source */
    constructor(source: Source);
    source: Source;
    /** @type {Pick<import("./types.js").Clock, "setTimeout" | "clearTimeout">} */
    clock: Pick<import("./types.js").Clock, "setTimeout" | "clearTimeout">;
    /** @type {{now(): number}} */
    watch: {
        now(): number;
    };
    /** Forgets the failures, and connects anew at once. */
    reconnect(): void;
    close(): void;
    #private;
}
export {};
