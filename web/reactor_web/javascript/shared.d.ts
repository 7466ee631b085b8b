/**
 * @typedef {import("./types.js").FollowOptions & {principal?: string, beat?: number}} SharedOptions
 *   `principal`: who asks, where the token does not tell; `beat`: milliseconds between two signs of life
 */
/**
 * Follows a run. Where its connection cannot be shared, the stream has one of its own, and its status says why.
 * @param {string} url of the run
 * @param {SharedOptions} [options]
 * @returns {Stream}
 */
export function followShared(url: string, options?: SharedOptions): Stream;
/**
 * `principal`: who asks, where the token does not tell; `beat`: milliseconds between two signs of life
 */
export type SharedOptions = import("./types.js").FollowOptions & {
    principal?: string;
    beat?: number;
};
import { Stream } from "./follow.js";
