// Types only: what goes over the wire and what the client gives.

/**
 * An event of a run, as it is in the log. Integers beyond 2^53 in `data` are BigInts.
 * @typedef {object} RunEvent
 * @property {number} seq 1, 2, 3 … in each run
 * @property {string} run_id
 * @property {string} type
 * @property {string} time ISO 8601, UTC
 * @property {string} [task_id]
 * @property {string} [task]
 * @property {number} [map_index]
 * @property {number} [attempt]
 * @property {any} data
 */

/**
 * A question that a task asks and nobody has answered.
 * @typedef {object} Question
 * @property {any} prompt
 * @property {any} schema JSON Schema of the answer, or null
 * @property {string | null} key
 * @property {string} [expires]
 */

/**
 * @typedef {object} TaskState
 * @property {string} id
 * @property {string} task
 * @property {"pending"|"running"|"waiting"|"retrying"|"completed"|"failed"|"skipped"|"cancelled"} status
 * @property {number} attempt
 * @property {number} seq
 * @property {number} [map_index]
 * @property {string} [started]
 * @property {string} [ended]
 * @property {number} [duration_ms]
 * @property {number} [progress]
 * @property {string} [message]
 * @property {any} [error]
 * @property {string} [reason]
 * @property {string} [because]
 * @property {string[]} [depends_on]
 * @property {boolean} [recoverable]
 * @property {number} [count]
 * @property {Record<string, number>} [tally]
 * @property {number} [failures]
 * @property {{since: string, delay_ms: number}} [retry]
 * @property {Question[]} [waiting]
 * @property {[number, string | null][]} [received]
 * @property {Record<string, [number, any]>} [asked]
 * @property {string} [cancelling]
 * @property {number} [cost]
 * @property {number | bigint} [tokens]
 */

/**
 * The state of a run, with the names of the server's `run.state`.
 * @typedef {object} RunState
 * @property {string} run_id
 * @property {number} seq
 * @property {"pending"|"running"|"paused"|"cancelling"|"completed"|"failed"|"cancelled"} status
 * @property {string} [workflow]
 * @property {string} [version]
 * @property {string} [started]
 * @property {string} [ended]
 * @property {number} [duration_ms]
 * @property {number} total_tasks
 * @property {number} running
 * @property {number} completed
 * @property {number} failed
 * @property {number} skipped
 * @property {number} cancelled
 * @property {number} recoveries
 * @property {string} [reason]
 * @property {any} [error]
 * @property {any} [meta]
 * @property {any} [parent]
 * @property {any} [budget]
 * @property {number} [cost]
 * @property {number | bigint} [tokens]
 * @property {string[]} [warned]
 * @property {string[]} [exceeded]
 * @property {Record<string, any>} [children]
 * @property {string} [paused_at]
 * @property {number} [paused_ms]
 * @property {number} [downtime_ms]
 * @property {number} [maps]
 * @property {number} [upgraded]
 * @property {number} [least_progress]
 * @property {boolean} [session]
 * @property {number} [idle]
 * @property {Record<string, TaskState>} tasks
 */

/** @typedef {"connecting"|"live"|"reconnecting"|"polling"|"ended"|"failed"} Status */
/** @typedef {{from: number, to: number, reason: string, run_id?: string}} Gap */

/**
 * How requests are made.
 * @typedef {object} RequestOptions
 * @property {string | ((why: {refresh: boolean}) => string | Promise<string>)} [token] sent as `Authorization: Bearer`; a
 *   function is asked again, with `refresh: true`, after a 401
 * @property {() => string | Promise<string>} [ticket] asked for each stream, and sent as `ticket=`
 * @property {Record<string, string>} [headers]
 * @property {RequestCredentials} [credentials]
 * @property {typeof globalThis.fetch} [fetch]
 * @property {AbortSignal} [signal]
 */

/**
 * @typedef {object} Clock
 * @property {() => number} now milliseconds
 * @property {(call: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/**
 * @typedef {object} OwnFollowOptions
 * @property {number} [after] the last seq that was seen before; there is no folded state then
 * @property {boolean} [snapshot] begin with the state as it is, without the events that led to it
 * @property {string[]} [types] globs: which events `onEvent` and the iterator get; the state sees all of them
 * @property {number} [heartbeat] seconds; a connection that is silent three times as long counts as dead
 * @property {number} [pollWait] seconds that a page is waited for where streams do not get through; 25
 * @property {number} [awaitRun] seconds to wait for a run that does not exist yet
 * @property {Record<string, string | number>} [query] more options of the stream; with `types` or `tasks` there is no state
 * @property {number} [maxFailures] attempts in a row that brought nothing, then the stream has failed; without it never
 * @property {(event: RunEvent) => void} [onEvent]
 * @property {(state: RunState, event: RunEvent | undefined) => void} [onState]
 * @property {(status: Status, detail?: any) => void} [onStatus]
 * @property {(gap: Gap) => void} [onGap]
 * @property {(error: Error) => void} [onError] the stream has failed
 * @property {Clock} [clock]
 * @property {() => number} [random]
 * @typedef {RequestOptions & OwnFollowOptions} FollowOptions
 */

export {};
