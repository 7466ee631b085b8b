// What a run has said, as the tabs need it: events, log lines, the bars of the timeline, what was spent. Made of one event
// after the other; nothing here looks at a clock.
import { timeOf } from "./format.js";

/** Events that are kept; of a longer run the oldest tenth is let go. */
export const MOST_EVENTS = 150_000;
const MOST_SPENT = 2_000;
const LEVELS = { debug: 0, info: 1, warning: 2, error: 3 };
const END = /^task\.(completed|failed|cancelled|skipped)$/;

export class History {
  events = [];
  /** How many were let go. */
  dropped = 0;
  /** Log lines: `{seq, time, task_id, level, message, fields}`. */
  logs = [];
  /** Attempts in the order in which they began: `{task, attempt, from, to, status, seq, waits, lane}`. */
  bars = [];
  /** The open bar of each task. */
  #open = new Map();
  /** The last event of each task that has its input, its output, its error. */
  inputs = new Map();
  results = new Map();
  spent = [];
  started = undefined;
  from = NaN;
  to = NaN;

  take(event) {
    const at = timeOf(event.time);
    if (Number.isNaN(this.from)) this.from = at;
    this.to = at;
    this.events.push(event);
    if (this.events.length > MOST_EVENTS) this.#letGo();
    TAKES[event.type]?.(this, event, at);
    if (END.test(event.type)) this.#end(event, at);
  }

  /** Those up to an event. */
  static upTo(events, seq) {
    const history = new History();
    for (const event of events) {
      if (event.seq > seq) break;
      history.take(event);
    }
    return history;
  }

  #letGo() {
    const gone = this.events.splice(0, MOST_EVENTS / 10);
    this.dropped += gone.length;
    const seq = this.events[0].seq;
    this.logs = this.logs.filter((line) => line.seq >= seq);
  }

  begin({ task_id: task, attempt, seq, map_index, task: name }, at) {
    this.close(task, at, "lost");
    const bar = { task, name, map_index, attempt, from: at, to: undefined, status: "running", seq, waits: [] };
    this.#open.set(task, bar);
    this.bars.push(bar);
  }

  close(task, at, status, error) {
    const bar = this.#open.get(task);
    if (!bar) return;
    Object.assign(bar, { to: at, status, error });
    this.settle(task, at);
    this.#open.delete(task);
  }

  closeAll(at, status) {
    for (const task of [...this.#open.keys()]) this.close(task, at, status);
  }

  /** A part of a bar in which the body waits for a person, or sleeps. */
  wait(task, at, kind) {
    const bar = this.#open.get(task);
    if (bar && !bar.waits.some((wait) => wait.to === undefined)) bar.waits.push({ from: at, to: undefined, kind });
  }

  settle(task, at) {
    for (const wait of this.#open.get(task)?.waits ?? []) wait.to ??= at;
  }

  #end(event, at) {
    this.results.set(event.task_id, event);
    this.close(event.task_id, at, event.type.slice(5), event.data.error?.message);
  }

  log(event, level, message, fields) {
    this.logs.push({ seq: event.seq, time: event.time, task_id: event.task_id, task: event.task, level, message, fields });
  }

  spend({ seq, data }, at) {
    this.spent.push({ at, seq, cost: data.total_cost, tokens: Number(data.total_tokens ?? 0) });
    if (this.spent.length > MOST_SPENT) this.spent = this.spent.filter((_, index) => index % 2);
  }
}

export const levelOf = (level) => LEVELS[level] ?? 1;

const TAKES = {
  "run.started": (history, event) => {
    history.started = event.data;
  },
  "run.resumed": (history, { data }, at) => data.reason === "recovered" && history.closeAll(at, "lost"),
  "run.completed": (history, _, at) => history.closeAll(at, "cancelled"),
  "run.failed": (history, event, at) => {
    history.closeAll(at, "cancelled");
    history.log(event, "error", `the run has failed: ${event.data.error?.message ?? event.data.reason ?? ""}`);
  },
  "run.cancelled": (history, _, at) => history.closeAll(at, "cancelled"),
  "task.started": (history, event, at) => {
    history.begin(event, at);
    if (event.data.input !== undefined || event.data.input_preview !== undefined) history.inputs.set(event.task_id, event);
  },
  "task.retrying": (history, event, at) => {
    history.close(event.task_id, at, "failed", event.data.error?.message);
    const { error, delay_ms, next_attempt } = event.data;
    history.log(event, "warning", `attempt ${next_attempt} follows in ${Math.round(delay_ms)} ms: ${error?.message ?? "the attempt was lost"}`);
  },
  "task.failed": (history, event) => {
    const { type, message, traceback } = event.data.error ?? {};
    history.log(event, "error", `${type}: ${message}${traceback ? `\n${traceback}` : ""}`);
  },
  "task.waiting": (history, { task_id, data }, at) => (data.answered ?? null) === null && history.wait(task_id, at, "waiting"),
  "task.received": (history, { task_id }, at) => history.settle(task_id, at),
  "task.expired": (history, { task_id }, at) => history.settle(task_id, at),
  "task.withdrawn": (history, { task_id }, at) => history.settle(task_id, at),
  "task.sleeping": (history, { task_id }, at) => history.wait(task_id, at, "sleeping"),
  "task.step": (history, { task_id }, at) => history.settle(task_id, at),
  "task.spent": (history, event, at) => history.spend(event, at),
  "log.created": (history, event) => history.log(event, event.data.level, event.data.message, event.data.fields),
};
