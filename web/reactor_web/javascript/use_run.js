// `useRun`: a run, live.
import { useMemo } from "react";
import { RemoteRun } from "./api.js";
import { evolveChat, initialChat } from "./chat.js";
import { progress } from "./fold.js";
import { matcher } from "./follow.js";
import { BASE, apiOf, kept, keyOf, same, sourceOf, useLatest, useLive } from "./live.js";

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

const LOGS_KEPT = 200;

/** @type {RunShown} */
const CONNECTING = Object.freeze({
  run: null, tasks: {}, logs: [], questions: [], chunks: {}, parts: [], outputs: undefined,
  status: "connecting", isConnected: false, isStreaming: false, error: null,
});
/** @type {RunShown} */
const IDLE = Object.freeze({ ...CONNECTING, status: "idle" });

/**
 * A run, live.
 * @param {string | null | undefined} runId none: nothing is asked, and nothing is shown
 * @param {RunOptions} [options]
 */
export function useRun(runId, options = {}) {
  const { url = BASE, enabled = true, types, onEvent } = options;
  const key = runId && enabled ? keyOf(["run", runId, url], options) : null;
  const open = (/** @type {any} */ live) => new RunSource(live, new RemoteRun(apiOf(url, live.current(options)), `${runId}`), options);
  const admits = types && matcher(types);
  const heard = admits && ((/** @type {RunEvent} */ event) => admits(event.type) && onEvent?.(event));
  const shown = useLive(key, open, heard ? { ...options, onEvent: heard } : options, key ? CONNECTING : IDLE);
  const latest = useLatest(options);
  const verbs = useMemo(() => verbsOf(key, () => new RemoteRun(apiOf(url, latest.current), `${runId}`)), [key, url, runId]);
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
