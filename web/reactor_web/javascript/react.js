// Hooks for React >= 18: a run, a list of runs, a chat. They are live, and components that show the same share one stream.
import { useMemo } from "react";
import { Reactor } from "./api.js";
import { evolveChat, initialChat } from "./chat.js";
import { connect } from "./connection.js";
import { progress } from "./fold.js";
import { follow, matcher } from "./follow.js";
import { kept, keyOf, same, sourceOf, useLatest, useLive } from "./live.js";
import { ReactorError, withQuery } from "./request.js";

export { useWorkflowStream } from "./workflow_stream.js";

/** @typedef {import("./types.js").FollowOptions} FollowOptions */
/** @typedef {import("./types.js").RunEvent} RunEvent */
/** @typedef {import("./types.js").RunState} RunState */
/** @typedef {import("./types.js").TaskState} TaskState */
/** @typedef {import("./types.js").Question & {task_id: string}} OpenQuestion */

/**
 * @typedef {object} HookOptions
 * @property {string} [url] where the routes are mounted, "/api/v1"
 * @property {boolean} [enabled] false: nothing is asked, and nothing is shown
 * @property {string} [principal] who asks, where no token says it. Without it a new text as `token` is somebody else
 * @property {(error: any) => void} [onError] an attempt to connect has failed
 * @typedef {Omit<FollowOptions, "onError"> & HookOptions} RunOptions
 */
/**
 * @typedef {object} RunShown
 * @property {(RunState & {progress: number}) | null} run null until something is known
 * @property {Record<string, TaskState>} tasks by id; one that does not change stays the same object
 * @property {RunEvent[]} logs the last 200 `log.created`
 * @property {OpenQuestion[]} questions those that are open
 * @property {Record<string, {attempt: number, text: string}>} chunks by task
 * @property {import("./chat.js").Part[]} parts the run as a chat
 * @property {any} outputs once it has completed; large ones are asked for when they are read here
 * @property {import("./types.js").Status | "idle"} status
 * @property {boolean} isConnected by a stream
 * @property {boolean} isStreaming connected, and more will come
 * @property {any} error why it is not connected
 */

const BASE = "/api/v1";
const LOGS_KEPT = 200;
/** Runs that a list has at most: those of one page of the server. */
const MOST_RUNS = 1000;
/** Milliseconds between two requests for the same list, however much happens; if nobody tells what happens; if all is
 * quiet, because nobody tells that a run was deleted. */
const LIST_EVERY = 1000;
const LIST_ANYWAY = 5000;
const LIST_QUIET = 60_000;

/** @type {RunShown} */
const CONNECTING = Object.freeze({
  run: null, tasks: {}, logs: [], questions: [], chunks: {}, parts: [], outputs: undefined,
  status: "connecting", isConnected: false, isStreaming: false, error: null,
});
/** @type {RunShown} */
const IDLE = Object.freeze({ ...CONNECTING, status: "idle" });

/** @param {string} url @param {any} options */
const apiOf = (url, { token, headers, fetch, credentials, signal }) =>
  new Reactor(url, { token, headers, fetch, credentials, signal });

/**
 * A run, live.
 * @param {string | null | undefined} runId none: nothing is asked, and nothing is shown
 * @param {RunOptions} [options]
 */
export function useRun(runId, options = {}) {
  const { url = BASE, enabled = true, types, onEvent } = options;
  const key = runId && enabled ? keyOf(["run", runId, url], options) : null;
  const open = (/** @type {any} */ live) => new RunSource(live, apiOf(url, live.current(options)).run(runId ?? ""), options);
  const admits = types && matcher(types);
  const heard = admits && ((/** @type {RunEvent} */ event) => admits(event.type) && onEvent?.(event));
  const shown = useLive(key, open, heard ? { ...options, onEvent: heard } : options, key ? CONNECTING : IDLE);
  const latest = useLatest(options);
  const verbs = useMemo(() => verbsOf(key, () => apiOf(url, latest.current).run(runId ?? "")), [key, url, runId]);
  return useMemo(
    () => ({
      ...shown,
      ...verbs,
      /** Of a completed run: by task; undefined until they are known. */
      get outputs() {
        if (shown.outputs === undefined) sourceOf(key)?.wantOutputs();
        return shown.outputs;
      },
    }),
    [shown, verbs],
  );
}

/**
 * What one can do with a run: the same functions until another run is shown.
 * @param {string | null} key
 * @param {() => import("./api.js").RemoteRun} run
 */
const verbsOf = (key, run) => ({
  /** Connects again at once, also after that has failed. @returns {void} */
  reconnect: () => sourceOf(key)?.reconnect(),
  /** @param {Parameters<import("./api.js").RemoteRun["cancel"]>} given */
  cancel: (...given) => run().cancel(...given),
  /** @param {Parameters<import("./api.js").RemoteRun["pause"]>} given */
  pause: (...given) => run().pause(...given),
  /** @param {Parameters<import("./api.js").RemoteRun["resume"]>} given */
  resume: (...given) => run().resume(...given),
  /** @param {Parameters<import("./api.js").RemoteRun["send"]>} given */
  send: (...given) => run().send(...given),
});

/** One run, for all components that show it. */
class RunSource {
  /** @type {RunEvent[]} */
  #logs = [];
  #chat = initialChat();
  /** @type {any} */
  #outputs;
  #hasAsked = false;
  /** @type {any} */
  #error = null;

  /** @param {any} live @param {import("./api.js").RemoteRun} run @param {RunOptions} options */
  constructor(live, run, options) {
    this.live = live;
    this.run = run;
    this.stream = run.follow({
      ...live.current(options),
      types: undefined, // components choose for themselves
      onEvent: (event) => this.#take(event),
      onState: (state, event) => this.#changed("onState", state, event),
      onStatus: (status, error = null) => {
        this.#error = error;
        if (error && status !== "failed") live.tell("onError", error);
        this.#changed("onStatus", status, error);
      },
      onGap: (gap) => {
        if (gap.reason === "ahead" || gap.reason === "rewound") this.#forget();
        this.#changed("onGap", gap);
      },
      onError: (error) => this.#changed("onError", error),
    });
  }

  /** @param {RunEvent} event */
  #take(event) {
    if (event.type === "log.created") this.#logs = [...this.#logs.slice(1 - LOGS_KEPT), event];
    if (event.type === "run.completed") this.#outputs = event.data.outputs;
    this.#chat = evolveChat(this.#chat, event);
    this.#changed("onEvent", event);
  }

  /** @param {string} name @param {any[]} given */
  #changed(name, ...given) {
    this.live.tell(name, ...given);
    this.live.touch();
  }

  /** The log of the run begins anew. */
  #forget() {
    this.#logs = [];
    this.#chat = initialChat();
    this.#outputs = undefined;
  }

  /** @param {RunShown} was @returns {RunShown} */
  read(was) {
    const { state, status } = this.stream;
    const tasks = kept(was.tasks, state?.tasks ?? {});
    let run = was.run;
    if (!state?.seq) run = null;
    else if (run?.seq !== state.seq || run.tasks !== tasks) run = { ...state, tasks, progress: progress(state) };
    const isConnected = status === "live";
    return kept(was, {
      run,
      tasks,
      logs: this.#logs,
      questions: tasks === was.tasks ? was.questions : same(was.questions, questionsOf(tasks)),
      chunks: kept(was.chunks, this.stream.chunks),
      parts: this.#chat.parts,
      outputs: this.#outputs,
      status,
      isConnected,
      isStreaming: isConnected && !run?.ended,
      error: this.#error,
    });
  }

  /** Somebody reads them: asks for those that no event has brought, once. */
  wantOutputs() {
    if (this.#hasAsked || this.stream.state?.status !== "completed") return;
    this.#hasAsked = true;
    this.run.outputs().then(
      (outputs) => {
        this.#outputs = outputs;
        this.live.touch();
      },
      (error) => {
        this.#error = error;
        this.#changed("onError", error);
      },
    );
  }

  reconnect() {
    this.#hasAsked = false;
    this.stream.reconnect();
  }

  close() {
    this.stream.close();
  }
}

/** @param {Record<string, TaskState>} tasks @returns {OpenQuestion[]} */
const questionsOf = (tasks) =>
  Object.values(tasks).flatMap(({ id, waiting }) => (waiting ?? []).map((question) => ({ task_id: id, ...question })));

/**
 * A list of runs, newest first, that is always the one that the server would answer now.
 * @param {{status?: string, workflow?: string, parent?: string, root?: string, limit?: number}} [filter]
 * @param {Pick<RunOptions, keyof HookOptions | "token" | "ticket" | "headers" | "credentials" | "fetch" | "clock">} [options]
 */
export function useRuns(filter = {}, options = {}) {
  const { url = BASE, enabled = true } = options;
  const key = enabled ? keyOf(["runs", filter, url], options) : null;
  const open = (/** @type {any} */ live) => new ListSource(live, url, filter, live.current(options));
  const shown = useLive(key, open, options, key ? LOADING : NO_LIST);
  return useMemo(
    () => ({
      ...shown,
      /** Shows another page below, up to 1,000 runs in all. @returns {void} */
      loadMore: () => sourceOf(key)?.loadMore(),
      /** Asks at once. @returns {void} */
      refresh: () => sourceOf(key)?.refresh(),
    }),
    [shown, key],
  );
}

/** @typedef {{runs: any[], error: any, isLoading: boolean, hasMore: boolean}} ListShown */
/** @type {ListShown} */
const LOADING = Object.freeze({ runs: [], error: null, isLoading: true, hasMore: false });
/** @type {ListShown} */
const NO_LIST = Object.freeze({ ...LOADING, isLoading: false });

/**
 * A list. It is asked for again when a run begins, ends or changes its status, but once a second at most; and every few
 * seconds while no stream tells what happens.
 */
class ListSource {
  #now = LOADING;
  #isAsking = false;
  /** Whether something has happened since it was asked for. */
  #isOld = false;
  #isTold = false;
  #freeAt = 0;
  #gone = new AbortController();
  /** @type {any} */
  #timer;
  /** @type {ReturnType<typeof connect> | undefined} */
  #connection;

  /** @param {any} live @param {string} url @param {any} filter @param {any} options */
  constructor(live, url, filter, options) {
    this.live = live;
    this.url = url;
    this.filter = filter;
    this.step = this.size = filter.limit ?? 100;
    this.options = options;
    this.clock = options.clock ?? globalThis;
    this.api = apiOf(url, { ...options, signal: this.#gone.signal });
    this.#ask();
  }

  read() {
    return this.#now;
  }

  loadMore() {
    this.size = Math.min(this.size + this.step, MOST_RUNS);
    this.refresh();
  }

  refresh() {
    this.#freeAt = 0;
    this.#set({ isLoading: true });
    this.#happened();
  }

  reconnect() {
    this.#connection?.reconnect();
  }

  close() {
    this.#gone.abort();
    this.clock.clearTimeout(this.#timer);
    this.#connection?.close();
  }

  /** @param {Partial<ListShown>} changes */
  #set(changes) {
    this.#now = { ...this.#now, ...changes };
    this.live.touch();
  }

  #happened() {
    if (this.#isAsking) this.#isOld = true;
    else this.#plan(this.#freeAt - Date.now());
  }

  /** @param {number} ms */
  #plan(ms) {
    this.clock.clearTimeout(this.#timer);
    this.#timer = this.clock.setTimeout(() => this.#ask(), ms);
  }

  async #ask() {
    this.#isAsking = true;
    this.#isOld = false;
    const size = this.size;
    /** @type {any} */
    let error = null;
    try {
      /** @type {{runs: any[], cursor: string | null, position?: number}} */
      const page = await this.api.list({ ...this.filter, limit: size });
      const before = new Map(this.#now.runs.map((run) => [run.run_id, run]));
      const runs = page.runs.map((run) => same(before.get(run.run_id), run));
      this.#set({ runs: kept(this.#now.runs, runs), hasMore: page.cursor !== null && size < MOST_RUNS });
      this.#connect(page.position);
    } catch (problem) {
      error = problem;
    }
    if (this.#gone.signal.aborted) return;
    if (error) this.live.tell("onError", error);
    this.#set({ error, isLoading: size < this.size });
    this.#isAsking = false;
    this.#freeAt = Date.now() + LIST_EVERY;
    if (this.#isOld) this.#plan(size < this.size ? 0 : LIST_EVERY);
    else if (!error?.isFinal) this.#plan(!error && this.#isTold ? LIST_QUIET : LIST_ANYWAY);
  }

  /** Hears of everything that happens behind this position. @param {string | number | undefined} position */
  #connect(position) {
    if (this.#connection || position === undefined) return;
    const { workflow, parent } = this.filter;
    let cursor = position;
    this.#connection = connect({
      options: this.options,
      url: () => withQuery(`${this.url}/events`, { types: "run.*", workflow, parent, heartbeat: 15 }),
      cursor: () => cursor,
      frame: ({ event, id }) => {
        if (event === "stream.closing") throw new ReactorError("the server closes the stream");
        cursor = id || cursor;
        this.#happened();
      },
      status: (status) => {
        this.#isTold = status === "live";
        if (!this.#isTold) this.#happened();
      },
      fail: () => {
        this.#isTold = false;
      },
    });
  }
}

/**
 * A run as a chat: what it says, calls and asks, in order.
 * @param {ReturnType<typeof useRun> | string | null | undefined} run what `useRun` gives, or an id
 * @param {RunOptions} [options] with an id
 */
export function useChat(run, options) {
  const own = useRun(typeof run === "string" ? run : null, options);
  const shown = run && typeof run === "object" ? run : own;
  const latest = useLatest(shown);
  const verbs = useMemo(
    () => ({
      /**
       * Answers a question: a part of the chat, or one of `questions`.
       * @param {{task?: string, task_id?: string, key: string | null}} question
       * @param {any} value
       */
      answer: ({ task, task_id = task, key }, value) => latest.current.send(task_id ?? "", value, { key }),
      /** Answers the question that has been open for longest. @param {any} value */
      async send(value) {
        const [question] = latest.current.questions;
        if (!question) throw new Error("nothing is asked in this run now");
        return verbs.answer(question, value);
      },
      /** Cancels the run. @param {string} [reason] */
      stop: (reason) => latest.current.cancel({ reason }),
    }),
    [],
  );
  const { parts, questions, status, error } = shown;
  /** Whether more may come without an answer. */
  const isStreaming = shown.isStreaming && shown.run?.status === "running" && !questions.length;
  return useMemo(
    () => ({ parts, questions, status, error, isStreaming, ...verbs }),
    [parts, questions, status, error, isStreaming, verbs],
  );
}
