/**
 * The state before the first event.
 * @param {string} runId
 * @returns {RunState}
 */
export function initialState(runId: string): RunState;
/**
 * The state that a `run.state` describes. It may come in several parts, each of which is laid onto those before.
 * @param {RunState | undefined} state that of the parts before; changed
 * @param {any} data of the next part
 * @returns {RunState}
 */
export function addSnapshot(state: RunState | undefined, { part, parts, progress, tasks, children, ...data }: any): RunState;
/**
 * Changes `state` to what it is after `event`, and returns it. A task that changes is a new object.
 * @param {RunState} state
 * @param {RunEvent} event
 * @returns {RunState}
 */
export function evolve(state: RunState, event: RunEvent): RunState;
/**
 * How much of the run has ended, 0 to 1: the mean over the tasks of the graph. It never falls.
 * @param {RunState} state
 * @returns {number}
 */
export function progress(state: RunState): number;
/** The statuses after which nothing more happens in a run. @type {ReadonlySet<string | undefined>} */
export const RUN_ENDED: ReadonlySet<string | undefined>;
export type RunEvent = import("./types.js").RunEvent;
export type RunState = import("./types.js").RunState;
export type Inner = (...given: any[]) => any;
