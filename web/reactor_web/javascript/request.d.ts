/** An error after which it is no use to ask again. @param {string} message @param {number} [status] */
export function final(message: string, status?: number): ReactorError & {
    isFinal: boolean;
};
/**
 * The answer to a request, if it is one of success.
 * @param {string} url
 * @param {RequestOptions} options
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 * @throws {ReactorError} for every other answer; what `fetch` throws where there is none
 */
export function request(url: string, options: RequestOptions, init?: RequestInit): Promise<Response>;
/**
 * The answer to a request for events, a stream or a page. A ticket opens these and nothing else.
 * @param {string} url
 * @param {RequestOptions} options
 * @param {string} accept which of them
 */
export function requestEvents(url: string, options: RequestOptions, accept: string): Promise<Response>;
/** An URL with more options in its query. @param {string} url @param {Record<string, any>} query */
export function withQuery(url: string, query: Record<string, any>): string;
/** @typedef {import("./types.js").RequestOptions} RequestOptions */
/** What the server refused, or could not do. `message` is its sentence. */
export class ReactorError extends Error {
    /**
     * @param {string} message
     * @param {number} [status] of HTTP
     * @param {any} [problem] the problem document
     */
    constructor(message: string, status?: number, problem?: any);
    /** Whether it is no use to ask again. */
    isFinal: boolean;
    /** Milliseconds that the server asks to wait. */
    wait: number;
    status: number | undefined;
    problem: any;
}
export type RequestOptions = import("./types.js").RequestOptions;
