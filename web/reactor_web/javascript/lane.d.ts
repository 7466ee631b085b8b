export class Lane {
    /**
     * @param {string} run
     * @param {import("./follow.js").Stream} stream  its `lastSeq` says what it has
     */
    constructor(run: string, stream: import("./follow.js").Stream);
    closed: boolean;
    /** There is no such connection. @type {(why: string) => void} */
    alone: (why: string) => void;
    run: string;
    stream: import("./follow.js").Stream;
    options: import("./types.js").FollowOptions;
    clock: typeof globalThis | import("./types.js").Clock;
    /** Seconds for which the run need not be there. */
    awaits: number;
    /** It comes back to a channel: it has not heard what was said there, of a connection that may still be the same. */
    forget(): void;
    /** What is said of the connection. @param {import("./hub.js").Report} report */
    hear({ id, runs, isFresh, left, refused, status, detail }: import("./hub.js").Report): void;
    /** An event of the connection. @param {number} seq @param {string} data */
    push(seq: number, data: string): void;
    close(): void;
    #private;
}
