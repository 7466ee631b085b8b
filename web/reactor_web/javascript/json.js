// JSON in which whole numbers stay exact: those that a number cannot hold are BigInts.

// JSON.parse sees such an integer as a string that ends with the mark; a string that ends so gets one more.
const MARK = "\u0001";
// Strings, or their parts between escapes (99 at a time, because each takes stack); a mark at the end of a
// string; numbers that may be large.
const TOKEN =
  /"[^"\\]*"?|(?:\\(?!u0001")[^][^"\\]*){1,99}"?|(?:(\\u0001")|-?(?:\d{16,}|\d+[.eE])[\d.eE+-]*)(\s*:)?/g;
// No quote behind a backslash: that one is part of a string.
const MARKED = /(^|[^\\])"(-?\d+)\\u0001((?:\\u0001)*)"(?!:)/g;

/**
 * As `JSON.parse`, but an integer beyond 2^53 is a BigInt.
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const marked = text.replace(TOKEN, (token, mark, colon) => {
    if (mark) return colon ? token : "\\u0001" + token;
    const isLarge = /^-?[1-9]\d{15,}$/.test(token) && !Number.isSafeInteger(Number(token));
    return isLarge ? `"${token}\\u0001"` : token;
  });
  return JSON.parse(marked, (_, value) => {
    if (typeof value !== "string" || !value.endsWith(MARK)) return value;
    const end = value.slice(0, -1);
    return end.endsWith(MARK) ? end : BigInt(end);
  });
}

/**
 * As `JSON.stringify`, with BigInts as integers.
 * @param {any} value
 * @returns {string}
 */
export function stringify(value) {
  const text = JSON.stringify(value, (_, member) => {
    const isLike = typeof member === "string" && /^-?\d+\x01+$/.test(member);
    return isLike || typeof member === "bigint" ? member + MARK : member;
  });
  return text?.replace(MARKED, (_, before, digits, mark) => before + (mark ? `"${digits}${mark}"` : digits));
}
