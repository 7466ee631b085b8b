// The routes of a server: start, find and control runs.
import { follow } from "./follow.js";
import { parse, stringify } from "./json.js";
import { ReactorError, request, withQuery } from "./request.js";

/** @typedef {import("./types.js").RequestOptions} RequestOptions */
/** @typedef {{cost?: number, tokens?: number, seconds?: number, tasks?: number, on_exceeded?: string}} Budget */

const TRIES = 4;
const AWAY = [502, 503, 504];

/** 24 letters and digits that nobody else has. (`randomUUID` is missing on plain http.) */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(24)), (byte) => (byte % 36).toString(36)).join("");
}

export class Reactor {
  /**
   * @param {string} [base] where the routes are mounted; of a server alone, `/api/v1` is added
   * @param {RequestOptions} [options]
   */
  constructor(base = "/api/v1", options = {}) {
    this.base = base.replace(/\/$/, "").replace(/^https?:..[^/]+$/, "$&/api/v1");
    this.options = options;
  }

  /** The handle of a run; asks nothing. A TypeError for what cannot be the id of one. @param {string} id */
  run(id) {
    if (typeof id !== "string" || !/^(?!\.\.?$)[\w.~-]{1,64}$/.test(id)) {
      throw new TypeError(`${stringify(id)} is not a valid run id: 1 to 64 of A-Z a-z 0-9 . _ ~ -, and not . or ..`);
    }
    return new RemoteRun(this, id);
  }

  /**
   * Starts a run. The same request again is the same run, so it is tried again where the answer was lost.
   * @param {string} workflow
   * @param {any} [input]
   * @param {{id?: string, meta?: any, budget?: Budget}} [options]
   */
  async start(workflow, input, { id = randomId(), meta, budget, ...unknown } = {}) {
    refuse(unknown);
    return this.#put(id, { workflow, input, meta, budget });
  }

  /**
   * Starts a run of a plan: tasks as data, over the tools of the server.
   * @param {any[]} tasks
   * @param {{name?: string, id?: string, meta?: any, budget?: Budget}} [options]
   */
  async startPlan(tasks, { name, id = randomId(), meta, budget, ...unknown } = {}) {
    refuse(unknown);
    const run = this.run(id);
    await this.send("POST", "/runs", { tasks, name, run_id: id, meta, budget });
    return run;
  }

  /**
   * Opens a session: a run whose events come from outside (`emit`, `end`).
   * @param {string} [id]
   * @param {{meta?: any, budget?: Budget, idle?: number}} [options]
   */
  async session(id = randomId(), { meta, budget, idle, ...unknown } = {}) {
    refuse(unknown);
    return this.#put(id, { session: true, meta, budget, idle });
  }

  /** @param {string} id @param {any} body */
  async #put(id, body) {
    const run = this.run(id);
    await this.send("PUT", run.path, body);
    return run;
  }

  /**
   * One page of runs, the newest first: `{runs, cursor}`.
   * @param {{status?: string, workflow?: string, since?: string, until?: string, parent?: string, root?: string, question?: 1, open?: 1, recoverable?: "false", limit?: number, cursor?: string} & {[meta: `meta.${string}`]: string}} [filter]
   * @returns {Promise<{runs: any[], cursor: string | null}>}
   */
  list(filter = {}) {
    return this.send("GET", withQuery("/runs", filter));
  }

  /**
   * One page of the open questions of all runs: `{questions, cursor}`.
   * @param {{workflow?: string, limit?: number, cursor?: string} & {[meta: `meta.${string}`]: string}} [filter]
   * @returns {Promise<{questions: any[], cursor: string | null}>}
   */
  questions(filter = {}) {
    return this.send("GET", withQuery("/questions", filter));
  }

  /** The definitions of all workflows. @returns {Promise<any>} */
  workflows() {
    return this.send("GET", "/workflows");
  }

  /** How long its last completed runs took. @param {string} name @param {number} [runs] @returns {Promise<any>} */
  durations(name, runs = 50) {
    return this.send("GET", `/workflows/${encodeURIComponent(name)}/durations?runs=${runs}`);
  }

  /** One page of schedules: `{schedules, cursor}`. @param {{limit?: number, cursor?: string}} [page] @returns {Promise<any>} */
  schedules(page = {}) {
    return this.send("GET", withQuery("/schedules", page));
  }

  /** One schedule; asks nothing. @param {string} name */
  schedule(name) {
    return new Schedule(this, name);
  }

  /** @param {string} id @returns {Promise<any>} what `GET /runs/{id}` answers */
  get(id) {
    return this.run(id).get();
  }

  /**
   * One request. A change has an `Idempotency-Key`; it is sent again where its answer was lost.
   * @param {string} method
   * @param {string} path
   * @param {any} [body]
   * @returns {Promise<any>}
   */
  async send(method, path, body) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json" };
    if (method !== "GET") headers["Idempotency-Key"] = randomId();
    if (body !== undefined) headers["Content-Type"] = "application/json";
    for (let tries = 1; ; tries += 1) {
      try {
        const answer = await request(this.base + path, this.options, { method, headers, body: body && stringify(body) });
        const text = await answer.text();
        return text ? parse(text) : undefined;
      } catch (error) {
        const isLost = error instanceof ReactorError ? AWAY.includes(error.status ?? 0) : !this.options.signal?.aborted;
        if (!isLost || tries === TRIES) throw error;
        const wait = Math.max(200 * 2 ** tries * (0.5 + Math.random()), /** @type {any} */ (error).wait ?? 0);
        await new Promise((resolve) => setTimeout(resolve, Math.min(wait, 10_000)));
      }
    }
  }
}

/** @param {object} unknown options that were given, and that there are not */
function refuse(unknown) {
  for (const name in unknown) throw new TypeError(`there is no option ${name}`);
}

/** A schedule of a server: it starts runs of a workflow at the times of a rule. */
export class Schedule {
  /** @param {Reactor} api @param {string} name */
  constructor(api, name) {
    this.api = api;
    this.path = "/schedules/" + encodeURIComponent(name);
  }

  /** @returns {Promise<any>} what `GET /schedules/{name}` answers */
  get() {
    return this.api.send("GET", this.path);
  }

  /**
   * Makes it, or gives it another rule: `cron` and `tz`, or `every` in seconds.
   * @param {{workflow: string, cron?: string, tz?: string, every?: number, input?: any, overlap?: "skip" | "queue" | "allow", catch_up?: "one" | "all" | "none"}} rule
   * @returns {Promise<any>}
   */
  put(rule) {
    return this.api.send("PUT", this.path, rule);
  }

  /** It starts nothing until it is resumed. @returns {Promise<any>} */
  pause() {
    return this.api.send("POST", this.path + "/pause", {});
  }

  /** It goes on with its next time. @returns {Promise<any>} */
  resume() {
    return this.api.send("POST", this.path + "/resume", {});
  }

  /** Starts a run of it now. @returns {Promise<RemoteRun>} */
  async trigger() {
    return this.api.run((await this.api.send("POST", this.path + "/trigger", {})).run_id);
  }

  /** Its runs stay. @returns {Promise<any>} */
  remove() {
    return this.api.send("DELETE", this.path);
  }
}

/** A run on a server. */
export class RemoteRun {
  /** @param {Reactor} api @param {string} id */
  constructor(api, id) {
    this.api = api;
    this.id = id;
    this.path = `/runs/${encodeURIComponent(id)}`;
    this.url = api.base + this.path;
  }

  /** @param {import("./types.js").FollowOptions} [options] */
  follow(options) {
    return follow(this.url, { ...this.api.options, ...options });
  }

  /**
   * Its folded state, input, graph; after the end `outputs` or `error`.
   * @param {number} [at] only the state, after the event with this seq
   * @returns {Promise<any>}
   */
  get(at) {
    return this.#ask("GET", at ? "?at=" + at : "");
  }

  /** `{task: output}` of a completed run; undefined for any other. @returns {Promise<any>} */
  async outputs() {
    return (await this.get()).outputs;
  }

  /** The output of one task, however large. @param {string} task @returns {Promise<any>} */
  output(task) {
    return this.#ask("GET", `/tasks/${encodeURIComponent(task)}/output`);
  }

  /** @param {{task?: string, grace?: number, reason?: string}} [options] */
  cancel(options = {}) {
    return this.#ask("POST", "/cancel", options);
  }

  /** @param {{reason?: string}} [options] */
  pause(options = {}) {
    return this.#ask("POST", "/pause", options);
  }

  /** @param {{reason?: string}} [options] */
  resume(options = {}) {
    return this.#ask("POST", "/resume", options);
  }

  /**
   * Answers what a task asks.
   * @param {string} task
   * @param {any} value
   * @param {{key?: string | null, run?: string}} [options] which of its questions; the child run that asks
   */
  send(task, value, { key, run } = {}) {
    return this.#ask("POST", "/input", { task, value, key: key ?? undefined, run });
  }

  /**
   * A new run that takes over what completed; `from`: this task, and what depends on it, runs again in any case.
   * @param {{id?: string, from?: string}} [options]
   * @returns {Promise<RemoteRun>}
   */
  async retry({ id, from, ...unknown } = {}) {
    refuse(unknown);
    if (id !== undefined) this.api.run(id);
    return this.api.run((await this.#ask("POST", "/retry", { run_id: id, from })).run_id);
  }

  /** Says something in an open run. @param {string} type @param {any} [data] @param {{task?: string}} [options] */
  emit(type, data = {}, { task } = {}) {
    return this.#ask("POST", "/events", { type, data, task });
  }

  /** Ends a session. @param {{status?: string, outputs?: any, error?: any}} [options] */
  end(options = {}) {
    return this.#ask("POST", "/close", options);
  }

  delete() {
    return this.#ask("DELETE", "");
  }

  /** @param {string} method @param {string} path @param {any} [body] @returns {Promise<any>} */
  #ask(method, path, body) {
    return this.api.send(method, this.path + path, body);
  }
}
