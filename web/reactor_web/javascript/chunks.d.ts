/**
 * Adds what an event says. A new attempt begins anew; of a very long text the end is kept.
 * @param {Record<string, {attempt: number, text: string}>} chunks task id -> text; no prototype; changed
 * @param {import("./types.js").RunEvent} event
 * @returns {boolean} whether something changed
 */
export function addChunk(chunks: Record<string, {
    attempt: number;
    text: string;
}>, { type, task_id: id, attempt, data }: import("./types.js").RunEvent): boolean;
