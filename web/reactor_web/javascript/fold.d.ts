/**
 * The state before the first event.
 * @param {string} runId
 * @returns {RunState}
 */
export function initialState(runId: string): RunState;
/**
 * The state that the data of a `run.state` describes.
 * @param {any} data
 * @returns {RunState}
 */
export function fromSnapshot({ progress, part, parts, ...data }: any): RunState;
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
