// The text that tasks stream with `task.chunk`: of each task that of its present attempt.

const MOST_CHARS = 1_000_000;
const KEPT_CHARS = 900_000; // not one less than the most: each chunk would copy all of it

/**
 * Adds what an event says. A new attempt begins anew; of a very long text the end is kept.
 * @param {Record<string, {attempt: number, text: string}>} chunks task id -> text; no prototype; changed
 * @param {import("./types.js").RunEvent} event
 * @returns {boolean} whether something changed
 */
export function addChunk(chunks, { type, task_id: id, attempt = 0, data }) {
  const isChunk = type === "task.chunk";
  const known = id !== undefined && chunks[id];
  if (id === undefined || !(isChunk || (known && type === "task.started"))) return false;
  const before = known && known.attempt === attempt ? known.text : "";
  const text = isChunk ? before + data.text : ""; // a body that starts says all of it again
  const isLong = text.length > MOST_CHARS;
  chunks[id] = { attempt, text: isLong ? text.slice(-KEPT_CHARS).replace(/^[\udc00-\udfff]/, "") : text };
  return true;
}
