// The state of a run, folded from its events as the server folds it: `state = evolve(state, event)`.
// Sums are exact: money in units of 1e-12, times in microseconds. What a number cannot hold is a BigInt.
// Objects without a prototype have names of the application as keys, and `__proto__` may be one of them.

/** @typedef {import("./types.js").RunEvent} RunEvent */
/** @typedef {import("./types.js").RunState} RunState */
/** @typedef {(...given: any[]) => any} Inner */
const WHOLE_TASK = 1e6;
/** Money so far, in units of 1e-12. */
const COST = Symbol("cost");

/** The statuses after which nothing more happens in a run. @type {ReadonlySet<string | undefined>} */
export const RUN_ENDED = new Set(["completed", "failed", "cancelled"]);

/**
 * The state before the first event.
 * @param {string} runId
 * @returns {RunState}
 */
export function initialState(runId) {
  const ended = { completed: 0, failed: 0, skipped: 0, cancelled: 0 };
  const tasks = /** @type {any} */ ({ __proto__: null });
  return { run_id: runId, seq: 0, status: "pending", total_tasks: 0, running: 0, ...ended, recoveries: 0, tasks };
}

/**
 * The state that a `run.state` describes. It may come in several parts, each of which is laid onto those before.
 * @param {RunState | undefined} state that of the parts before; changed
 * @param {any} data of the next part
 * @returns {RunState}
 */
export function addSnapshot(state, { part = 1, parts, progress, tasks, children, ...data }) {
  const whole = state && part > 1 ? putTogether(state, data) : { ...initialState(data.run_id), ...data };
  putTogether(whole.tasks, tasks ?? {});
  if (children) whole.children = putTogether(whole.children ?? { __proto__: null }, children);
  return whole;
}

/**
 * What there is, with the next part laid onto it: an object member by member, `{"3": …}` onto item 3 of a list or as
 * the next one, `{"+": …}` at the end of a text; anything else takes its place.
 * @param {any} held changed
 * @param {any} part
 * @returns {any}
 */
function putTogether(held, part) {
  if (Object(part) !== part || Array.isArray(part)) return part;
  if (typeof held === "string" && part["+"] !== undefined) return held + part["+"];
  if (Object(held) !== held) return part;
  for (const name of Object.keys(part)) {
    const value = Object.hasOwn(held, name) ? putTogether(held[name], part[name]) : part[name];
    // set like any other member, whatever its name
    Object.defineProperty(held, name, { value, writable: true, enumerable: true, configurable: true });
  }
  return held;
}

/**
 * Changes `state` to what it is after `event`, and returns it. A task that changes is a new object.
 * @param {RunState} state
 * @param {RunEvent} event
 * @returns {RunState}
 */
export function evolve(state, event) {
  state.seq = event.seq;
  FOLDS[event.type]?.(state, event, event.data);
  return state;
}

/**
 * How much of the run has ended, 0 to 1: the mean over the tasks of the graph. It never falls.
 * @param {RunState} state
 * @returns {number}
 */
export function progress(state) {
  if (RUN_ENDED.has(state.status)) return 1;
  const tasks = Object.values(state.tasks);
  let bodies = state.total_tasks + (state.maps ?? 0); // where run.started has no list, since it would be long
  let units = 0;
  for (const task of tasks) {
    bodies -= task.count ?? 0;
    if (hasEnded(task) || task.recoverable === false) units += unitsOf(state, task); // else it fell when one runs again
  }
  const graph = (state.upgraded === undefined && tasks.filter((task) => task.depends_on).length) || bodies;
  const reached = graph && Math.min(Math.floor(units / graph), WHOLE_TASK) / WHOLE_TASK;
  return Math.max(reached, state.least_progress ?? 0);
}

/** @type {Inner} */
const hasEnded = ({ status }) => status === "skipped" || RUN_ENDED.has(status);
/** @type {Inner} A mapped task adds nothing, its children do. */
const unitsOf = ({ tasks }, { task, map_index: index, count }) => {
  if (count !== undefined || index === undefined) return count ? 0 : WHOLE_TASK;
  const all = tasks[task]?.count;
  return all ? Math.floor(((index + 1) * WHOLE_TASK) / all) - Math.floor((index * WHOLE_TASK) / all) : 0;
};

/** @type {Inner} A number as its decimal text says, in units of 1e-12. */
const pico = (number) => {
  const [, whole, part, exponent = 0] = /** @type {any} */ (/^(\d+)\.?(\d*)(?:e(.+))?$/.exec(String(number)));
  const places = 12 + Number(exponent) - part.length;
  const digits = BigInt(whole + part);
  return places < 0 ? digits / 10n ** BigInt(-places) : digits * 10n ** BigInt(places);
};

/** @type {Inner} */
const spend = (spender, { cost, tokens }) => {
  const units = (spender[COST] ?? pico(spender.cost ?? 0)) + pico(cost);
  const sum = BigInt(spender.tokens ?? 0) + BigInt(tokens);
  const isSafe = Number.isSafeInteger(Number(sum));
  Object.assign(spender, { [COST]: units, cost: Number(`${units}e-12`), tokens: isSafe ? Number(sum) : sum });
};

/** @type {Inner} */
const microseconds = (ms = 0) => Math.floor(ms * 1000 + 0.5);

/** @type {Inner} */
const microTime = (time) => {
  const [, seconds, part, zone] = /** @type {any} */ (/^(.{19})\.?(\d*)(.*)$/.exec(time));
  return Date.parse(seconds + (zone || "Z")) * 1000 + Number(part.padEnd(6, 0).slice(0, 6));
};

/** @type {Inner} */
const take = (target, data, /** @type {string[]} */ ...names) => {
  for (const name of names) target[name] = data[name] ?? undefined;
};

/** @type {Inner} The task that an event is about: a copy, in its place. */
const taskOf = ({ tasks }, { task_id: id, task, map_index }, changes) => {
  const known = tasks[id] ?? { id, task, status: "pending", map_index, attempt: 0, seq: 0 };
  return (tasks[id] = { ...known, ...changes });
};

/** @type {Inner} */
const setStatus = (state, task, status) => {
  state.running += +(status === "running") - +(task.status === "running");
  task.status = status;
};

/** @type {Inner} Counts how a child ended, in a copy of its mapped task. */
const tally = ({ tasks }, { map_index, task, status, reason }, by, changes) => {
  const mapped = map_index !== undefined && tasks[task];
  if (!mapped?.tally) return undefined;
  const outcome = status === "skipped" && reason !== "condition" ? "blocked" : status;
  const tallied = { ...mapped.tally, [outcome]: (mapped.tally[outcome] ?? 0) + by };
  return (tasks[task] = { ...mapped, ...changes, tally: tallied });
};

/** @type {Inner} An ended task starts anew, because its output could not be restored. */
const reopen = (state, task) => {
  if (!hasEnded(task)) return;
  state[task.status]--;
  tally(state, task, -1, { status: "running", ended: undefined });
  Object.assign(task, { ended: undefined, duration_ms: undefined, recoverable: false });
};

/** @type {Inner} */
const mappedEnded = (mapped, { time, seq }) => {
  const { failed, cancelled, blocked } = mapped.tally;
  const status = failed ? "failed" : cancelled ? "cancelled" : blocked ? "skipped" : "completed";
  Object.assign(mapped, { status, cancelling: undefined, ended: time, seq });
};

/** @type {Inner} The members whose field is none of these. */
const without = (members = [], /** @type {string} */ field, /** @type {any[]} */ ...values) =>
  members.filter((/** @type {any} */ member) => !values.includes(member[field]));

/** @type {Inner} */
const closeQuestion = (state, task, key, outcome) => {
  const name = key ?? "";
  const asked = task.asked && Object.hasOwn(task.asked, name) && task.asked[name];
  if (asked && (asked[1] === null || outcome === "withdrawn")) {
    task.asked = { ...task.asked, [name]: [asked[0], outcome] };
  }
  if (!task.waiting) return;
  const open = without(task.waiting, "key", key);
  task.waiting = open.length ? open : undefined;
  if (!open.length && task.status === "waiting") setStatus(state, task, "running");
};

/** @type {Inner} */
const questionClosed = (state, event, { key }) =>
  closeQuestion(state, taskOf(state, event), key, event.type.slice(5));

/** @type {Inner} */
const runChanged = (state, { type, time }, { reason, error }) => {
  if (state.paused_at !== undefined) {
    const pause = Math.max(0, microTime(time) - microTime(state.paused_at));
    state.paused_ms = (microseconds(state.paused_ms) + pause) / 1000;
    state.paused_at = undefined;
  }
  state.status = type === "run.resumed" ? "running" : type.slice(4);
  if (reason !== undefined) state.reason = reason ?? undefined;
  state.error = error ?? undefined;
};

/** @type {Inner} */
const listTasks = (state, { tasks = [] }) =>
  tasks.forEach((/** @type {any} */ { id, depends_on }) => taskOf(state, { task_id: id, task: id }, { depends_on }));

/** @type {Inner} A pause counts it already. */
const addDowntime = (state, { downtime_ms: ms }) => {
  if (state.paused_at !== undefined || ms === undefined) return;
  state.downtime_ms = (microseconds(state.downtime_ms) + microseconds(ms)) / 1000;
};

/** @type {Inner} */
const runEnded = (state, event, data) => {
  runChanged(state, event, data);
  Object.assign(state, { ended: event.time, duration_ms: data.duration_ms, running: 0 });
};

/** @type {Inner} */
const taskEnded = (state, event, data) => {
  const task = taskOf(state, event);
  const status = event.type.slice(5);
  reopen(state, task);
  const isRepeated = task.recoverable === false;
  if (task.count === undefined && !data.mapped) setStatus(state, task, status);
  if (data.recoverable !== false) task.asked = undefined; // else it may run again, and nobody is asked twice
  take(task, data, "duration_ms", "error", "reason", "because", "recoverable");
  task.waiting = task.retry = task.cancelling = undefined;
  Object.assign(task, { status, ended: event.time, seq: event.seq });
  if (status === "completed" && !isRepeated) {
    state[state.recoveries_in_a_row === undefined ? "recoveries" : "recoveries_in_a_row"] = 0;
  }
  if (data.mapped) return;
  state[status]++;
  const mapped = tally(state, task, 1);
  if (!mapped) return;
  const ends = Object.values(mapped.tally).reduce((sum, some) => sum + some, 0);
  if (ends === mapped.count) mappedEnded(mapped, event);
};

/** @type {Inner} What is known of a child run: a copy, in its place. */
const childOf = (state, id, changes) => {
  state.children ??= { __proto__: null };
  return (state.children[id] = { ...(state.children[id] ?? { cost: 0, tokens: 0, tasks: 0 }), ...changes });
};

/** @type {(name: string) => Inner} */
const addResource = (name) => (state, _, { resource }) => {
  state[name] = [...(state[name] ?? []), resource];
};

/** @type {Record<string, Inner>} */
const FOLDS = {
  // @ts-expect-error: no type is that of a method of all objects
  __proto__: null,
  "run.started"(state, { time }, data) {
    Object.assign(state, { status: "running", started: time });
    take(state, data, "workflow", "version", "total_tasks", "meta", "parent", "budget", "session", "idle", "maps");
    listTasks(state, data);
  },
  "run.paused"(state, event, data) {
    runChanged(state, event, data);
    state.paused_at = event.time;
  },
  "run.resumed"(state, event, data) {
    if (data.reason !== "recovered") return runChanged(state, event, data);
    if (data.recovery !== undefined) {
      state.recoveries_in_a_row = (state.recoveries_in_a_row ?? state.recoveries) + 1;
      state.recoveries = data.recovery;
    } else state.recoveries++;
    state.running = 0;
    addDowntime(state, data);
    for (const id in state.tasks) {
      const { status, count } = state.tasks[id];
      const died = count === undefined && (status === "running" || status === "waiting");
      if (died) taskOf(state, { task_id: id }, { status: "pending" });
    }
  },
  "run.cancelling": runChanged,
  "run.upgraded"(state, { seq: upgraded }, data) {
    const least_progress = progress(state) || undefined;
    addDowntime(state, data);
    if (Object.values(state.tasks).some((task) => task.depends_on)) listTasks(state, data);
    for (const id of data.removed ?? []) delete state.tasks[id];
    take(state, data, "version", "maps", "total_tasks");
    for (const { count = 0 } of Object.values(state.tasks)) state.total_tasks += count;
    Object.assign(state, { upgraded, least_progress });
  },
  "run.completed": runEnded,
  "run.failed": runEnded,
  "run.cancelled": runEnded,
  "task.started"(state, event) {
    const task = taskOf(state, event);
    reopen(state, task);
    setStatus(state, task, "running");
    Object.assign(task, { attempt: event.attempt, started: event.time, seq: event.seq });
    task.retry = task.progress = task.message = task.waiting = undefined;
  },
  "task.mapped"(state, event, { count }) {
    const { time, seq } = event;
    const task = taskOf(state, event, { count, tally: {}, started: time, status: "running", seq });
    state.total_tasks += count;
    if (!count) mappedEnded(task, event);
  },
  "task.progress"(state, event, { fraction, message }) {
    taskOf(state, event, { progress: fraction ?? undefined, message: message ?? undefined });
  },
  "task.waiting"(state, event, data) {
    const { key = null, answered = null, prompt = null, schema = null, expires, rejected } = data;
    const task = taskOf(state, event);
    if (rejected) task.received = without(task.received, "0", ...rejected);
    task.asked = { ...task.asked, [key ?? ""]: [event.seq, answered] };
    const open = without(task.waiting, "key", key);
    if (answered === null) {
      setStatus(state, task, "waiting");
      open.push({ prompt, schema, key, expires });
    }
    task.waiting = open.length ? open : undefined;
  },
  "task.received"(state, event, { key = null }) {
    const task = taskOf(state, event);
    task.received = [...(task.received ?? []), [event.seq, key]];
    closeQuestion(state, task, key, event.seq);
  },
  "task.expired": questionClosed,
  "task.withdrawn": questionClosed,
  "task.retrying"(state, event, { delay_ms }) {
    const { time, seq } = event;
    const task = taskOf(state, event, { retry: { since: time, delay_ms }, waiting: undefined, seq });
    setStatus(state, task, "retrying");
    task.failures = (task.failures ?? 0) + 1;
  },
  "task.cancelling"(state, event, { reason }) {
    taskOf(state, event, { cancelling: reason ?? undefined });
  },
  "task.spent"(state, event, data) {
    spend(state, data);
    if (event.task_id !== undefined && !state.session) spend(taskOf(state, event), data);
    if ((data.child_run ?? null) === null) return;
    const child = childOf(state, data.child_run);
    spend(child, data);
    child.tasks += data.tasks ?? 0;
  },
  "child.started"(state, { task_id }, { engine, child_run, workflow, key }) {
    if (engine === true) childOf(state, child_run, { task_id, workflow, key, status: "running" });
  },
  "child.ended"(state, { seq }, { engine, child_run, status }) {
    if (engine === true) childOf(state, child_run, { status, seq });
  },
  "budget.warning": addResource("warned"),
  "budget.exceeded": addResource("exceeded"),
  "task.completed": taskEnded,
  "task.failed": taskEnded,
  "task.skipped": taskEnded,
  "task.cancelled": taskEnded,
};
