// One run, live: the client's stream with its folded state, and the history that the tabs show. Or the same at an earlier
// event: time travel.
import { evolve, initialState, progress } from "./client/fold.js";
import { addChunk } from "./client/chunks.js";
import { Changes } from "./ui.js";
import { History } from "./history.js";


export class LiveRun extends Changes {
  history = new History();
  status = "connecting";
  detail = null;
  error = null;
  gap = null;
  /** What `GET /runs/{id}` says besides the events: the graph of a large run, whether it can go on. */
  about = null;
  /** The seq at which it is looked at; null: now. */
  at = null;
  #moment = null;
  #session;

  constructor(session, id) {
    super();
    this.id = id;
    this.#session = session;
    this.handle = session.api.run(id);
    this.stream = this.handle.follow({
      onEvent: (event) => this.#take(event),
      onState: () => this.touch(),
      onStatus: (status, detail) => {
        Object.assign(this, { status, detail });
        this.touch();
      },
      onGap: (gap) => this.#lost(gap),
      onError: (error) => {
        this.error = session.told(error);
        this.touch();
      },
    });
  }

  close() {
    this.stream.close();
  }

  #take(event) {
    this.history.take(event);
    if (event.type === "run.started" && (event.data.tasks_ref || event.data.input_ref)) this.read();
    if (event.type === "run.upgraded") this.read();
    this.touch();
  }

  #lost(gap) {
    if (gap.reason === "ahead" || gap.reason === "rewound") this.history = new History();
    this.gap = gap;
    this.touch();
  }

  /** Asks for what the events do not say. */
  async read() {
    try {
      this.about = await this.handle.get();
    } catch (error) {
      this.#session.told(error);
    }
    this.touch();
    return this.about;
  }

  // --- what is shown: now, or the moment that somebody has travelled to ---

  get shown() {
    if (this.at === null) return { state: this.stream.state, history: this.history, chunks: this.stream.chunks };
    if (this.#moment?.seq !== this.at) this.#moment = this.#travel(this.at);
    return this.#moment;
  }

  get canTravel() {
    return this.history.dropped === 0 && this.history.events.length > 1 && this.history.events[0].seq === 1;
  }

  /** @param {number | null} seq */
  go(seq) {
    const last = this.stream.lastSeq;
    this.at = seq === null || seq >= last ? null : Math.max(1, Math.floor(seq));
    if (this.at === null) this.#moment = null;
    this.touch();
  }

  /** From the moment before, if that is earlier: a player goes on event by event. */
  #travel(seq) {
    const before = this.#moment && this.#moment.seq < seq ? this.#moment : null;
    const base = before ?? { seq: 0, state: initialState(this.id), history: new History(), chunks: { __proto__: null } };
    const { state, history, chunks } = base;
    const events = this.history.events;
    for (let index = base.seq; index < events.length && events[index].seq <= seq; index += 1) {
      evolve(state, events[index]);
      addChunk(chunks, events[index]);
      history.take(events[index]);
    }
    return { seq, state, history, chunks };
  }
}

/** How much of the run has ended, and what its tasks are counted to: `{done, total, fraction, sums}`. */
export function reachedOf(state) {
  const { completed = 0, failed = 0, skipped = 0, cancelled = 0, total_tasks: total = 0 } = state;
  const sums = { completed, failed, skipped, cancelled, running: Math.max(0, state.running) };
  return { done: completed + failed + skipped + cancelled, total, fraction: progress(state), sums };
}

/** The open questions of a state: `{task_id, prompt, schema, key, expires}`. */
export const questionsOf = (state) =>
  Object.values(state?.tasks ?? {}).flatMap(({ id, waiting = [] }) => waiting.map((question) => ({ task_id: id, ...question })));

/** The tasks of the graph, without the children of mapped ones: `{id, kind, depends_on, meta}`. */
export function graphOf({ started, about, state }) {
  const listed = about?.graph ?? started?.tasks;
  if (listed) return listed;
  return Object.values(state.tasks).filter((task) => task.map_index === undefined)
    .map(({ id, depends_on = [], count }) => ({ id, depends_on, kind: count === undefined ? "task" : "map" }));
}
