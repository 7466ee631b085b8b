/**
 * As `JSON.parse`, but an integer beyond 2^53 is a BigInt.
 * @param {string} text
 * @returns {any}
 */
export function parse(text: string): any;
/**
 * As `JSON.stringify`, with BigInts as integers.
 * @param {any} value
 * @returns {string}
 */
export function stringify(value: any): string;
