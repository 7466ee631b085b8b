// The list of runs, live: one page of the newest, then one stream of what happens in all runs. Nothing is asked again
// and again; only where a filter cannot be told from an event is the page read anew, at most every two seconds.
import { connect } from "./client/connection.js";
import { ReactorError, withQuery } from "./client/request.js";
import { parse } from "./client/json.js";
import { Changes } from "./ui.js";
import { timeOf } from "./format.js";

const PAGE = 50;
const MOST = 1000;
const AGAIN = 2_000;
/** Where the log of the server keeps no order of all runs, and no stream tells what happens. */
const POLL = 5_000;
const AT_ONCE = 4;
const TYPES = "run.*,task.waiting,task.received,task.expired,task.withdrawn";
const ENDED = /^run\.(completed|failed|cancelled)$/;
/** Filters that an event does not tell of. */
const TOLD_BY_SERVER = ["question", "recoverable", "root"];

export class LiveList extends Changes {
  runs = [];
  cursor = null;
  status = "connecting";
  detail = null;
  error = null;
  isLoading = true;
  /** When runs ended lately, in milliseconds. */
  ends = [];
  #session;
  #filter;
  #connection;
  #isClosed = false;
  #timer;
  /** What the last event of a run that has ended says: it never changes. */
  #last = new Map();
  #asking = 0;
  #toAsk = [];

  constructor(session, filter) {
    super();
    this.#session = session;
    this.#filter = filter;
    this.#load();
  }

  get hasMore() {
    return this.cursor !== null && this.runs.length < MOST;
  }

  async #load() {
    try {
      const size = Math.min(MOST, Math.max(PAGE, this.runs.length));
      const page = await this.#session.api.list({ ...this.#filter, limit: size });
      if (this.#isClosed) return;
      this.runs = [];
      this.#add(page);
      this.#connect(page.position);
      this.error = null;
    } catch (error) {
      this.error = this.#session.told(error);
      if (!error.isFinal) this.#again();
    }
    this.isLoading = false;
    this.touch();
    if (this.status === "polling" && !this.error) this.#again(POLL);
  }

  async loadMore() {
    try {
      this.#add(await this.#session.api.list({ ...this.#filter, limit: PAGE, cursor: this.cursor }));
    } catch (error) {
      this.error = this.#session.told(error);
    }
    this.touch();
  }

  #add({ runs, cursor }) {
    const known = new Set(this.runs.map((run) => run.run_id));
    this.cursor = cursor;
    for (const run of runs) {
      if (known.has(run.run_id)) continue;
      this.runs.push({ ...run, ...this.#last.get(run.run_id) });
      this.#askLast(run);
    }
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#connection?.close();
  }

  reconnect() {
    this.error = null;
    if (this.#connection) this.#connection.reconnect();
    else this.#load();
  }

  // --- what happens ---

  #connect(position) {
    if (this.#connection || position === undefined) return;
    const { workflow, parent } = this.#filter;
    const { api } = this.#session;
    let cursor = position;
    this.#connection = connect({
      options: api.options,
      url: () => withQuery(`${api.base}/events`, { types: TYPES, workflow, parent, heartbeat: 15, ...this.#meta() }),
      cursor: () => cursor,
      frame: ({ event, data, id }) => {
        if (event === "stream.closing") throw new ReactorError("the server closes the stream");
        cursor = id || cursor;
        this.#take(parse(data));
        this.touch();
      },
      status: (status, detail) => {
        if (status === "live" && this.status === "reconnecting") this.#again();
        Object.assign(this, { status, detail });
        this.touch();
      },
      fail: (error) => {
        Object.assign(this, { status: error.status === 400 ? "polling" : "failed", detail: this.#session.told(error) });
        if (error.status === 400) this.#again(POLL);
        this.touch();
      },
    });
  }

  #meta() {
    return Object.fromEntries(Object.entries(this.#filter).filter(([name]) => name.startsWith("meta.")));
  }

  #take(event) {
    if (event.type === "stream.gap") return this.#again();
    if (TOLD_BY_SERVER.some((name) => this.#filter[name])) return this.#again();
    const place = this.runs.findIndex((run) => run.run_id === event.run_id);
    if (event.type === "run.started" && place < 0) return this.#begin(event);
    if (place < 0) return this.#filter.status ? this.#again() : undefined;
    const run = (this.runs[place] = { ...this.runs[place], seq: event.seq });
    if (event.type === "task.waiting" && event.data.answered === undefined) run.asks = (run.asks ?? 0) + 1;
    else if (/^task\.(received|expired|withdrawn)$/.test(event.type)) run.asks = Math.max(0, (run.asks ?? 0) - 1);
    else if (event.type.startsWith("run.")) this.#change(run, event);
    if (this.#filter.status && run.status !== this.#filter.status) this.runs.splice(place, 1);
  }

  #begin({ run_id, seq, time, data }) {
    const { status, since, until } = this.#filter;
    if ((status && status !== "running") || (until && timeOf(time) > Date.parse(until))) return;
    if (since && timeOf(time) < Date.parse(since)) return;
    const parent = data.parent?.run_id ?? null;
    this.runs.unshift({
      run_id, seq, status: "running", workflow: data.workflow, version: data.version, created: time, parent,
      session: data.session, total_tasks: data.total_tasks,
    });
    if (this.runs.length > MOST) this.runs.pop();
  }

  #change(run, event) {
    const name = event.type.slice(4);
    if (ENDED.test(event.type)) {
      Object.assign(run, told(event), { status: name, asks: 0 });
      this.#keep(run.run_id, told(event));
      this.ends = [...this.ends.slice(-499), timeOf(event.time)];
    } else if (name === "resumed" && event.data.reason !== "recovered") run.status = "running";
    else if (name === "paused" || name === "cancelling") run.status = name;
  }

  #again(ms = AGAIN) {
    clearTimeout(this.#timer);
    if (!this.#isClosed) this.#timer = setTimeout(() => this.#load(), ms);
  }

  // --- how long ended runs took, and how they ended: their last event ---

  #askLast(run) {
    if (!["completed", "failed", "cancelled"].includes(run.status) || this.#last.has(run.run_id)) return;
    this.#toAsk.push(run);
    this.#askNext();
  }

  async #askNext() {
    if (this.#asking >= AT_ONCE || !this.#toAsk.length || this.#isClosed) return;
    const { run_id } = this.#toAsk.shift();
    this.#asking += 1;
    try {
      const path = `/runs/${encodeURIComponent(run_id)}/events`;
      const { events } = await this.#session.api.send("GET", withQuery(path, { tail: 1, limit: 1 }));
      const last = events.find((event) => ENDED.test(event.type));
      if (last) this.#keep(run_id, told(last));
      this.runs = this.runs.map((run) => (run.run_id === run_id ? { ...run, ...this.#last.get(run_id) } : run));
      this.touch();
    } catch {
      // it has been deleted meanwhile, or the server is away: the row has a dash
    }
    this.#asking -= 1;
    this.#askNext();
  }

  #keep(run_id, said) {
    this.#last.set(run_id, said);
    if (this.#last.size > MOST) this.#last.delete(this.#last.keys().next().value);
  }
}

/** What a row shows of the last event of its run. */
function told({ data }) {
  const { duration_ms, total_tasks, completed, failed, skipped, cancelled, cost, tokens, error, reason } = data;
  return { duration_ms, total_tasks, completed, failed, skipped, cancelled, cost, tokens, problem: error?.message, reason };
}
