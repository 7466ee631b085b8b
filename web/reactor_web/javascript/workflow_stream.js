// `useWorkflowStream`: a workflow of agents, live, in the words of the dialect `agents`.
import { useCallback, useMemo } from "react";
import { connect } from "./connection.js";
import { parse } from "./json.js";
import { keyOf, same, sourceOf, useLive } from "./live.js";
import { request } from "./request.js";

/** @typedef {import("./types.js").FollowOptions} FollowOptions */
/** @typedef {import("./types.js").Status} Status */

/**
 * @typedef {object} OwnOptions
 * @property {string} [url] of the stream, with `:id` where the id belongs; or that of the API, like "/api/v1"
 * @property {string} [stateUrl] what is asked while no stream opens; without it the stream's URL less `/stream`
 * @property {boolean} [enabled]
 * @property {string} [principal] whose streams these are, where the token does not say it
 * @property {(type: string, data: any) => void} [onEvent]
 * @property {(error: any) => void} [onError] an attempt to connect has failed
 * @typedef {Omit<FollowOptions, keyof OwnOptions | "types" | "after" | "snapshot"> & OwnOptions} WorkflowStreamOptions
 */
/**
 * @typedef {object} Shown
 * @property {any} workflow `{workflowId, name, status, currentAgent, …}`, null until something is known
 * @property {Record<string, any>} agents by `agentName`; one that does not change stays the same object
 * @property {any[]} logs the last 200
 * @property {Status | "idle"} status
 * @property {boolean} isConnected
 * @property {boolean} isStreaming connected, and more will come
 * @property {any} error why it is not connected
 */

const LOGS_KEPT = 200;
const POLL_MS = 2000;
const END = /^workflow:(completed|failed)$/;
const OPENING = ["workflow:state", "agent:state", "log:created"];
const ENDED = ["completed", "failed", "cancelled"];
const STATUS = { "agent:started": "running", "agent:completed": "completed", "agent:failed": "failed" };

/** @type {Shown} */
const CONNECTING = Object.freeze({
  workflow: null, agents: {}, logs: [], status: "connecting", isConnected: false, isStreaming: false, error: null,
});
/** @type {Shown} */
const IDLE = Object.freeze({ ...CONNECTING, status: "idle" });

/**
 * Follows a workflow of agents. Where five attempts in a row open no stream, it asks for the state every two seconds, and
 * goes back to streaming when that works again.
 * @param {string | null | undefined} workflowId
 * @param {WorkflowStreamOptions} [options]
 */
export function useWorkflowStream(workflowId, options = {}) {
  const { url = "/api/workflows/:id/stream", stateUrl, enabled = true } = options;
  const key = workflowId && enabled ? keyOf(["agents", workflowId, url], options) : null;
  const where = urls(url, stateUrl, encodeURIComponent(workflowId ?? ""));
  const shown = useLive(key, (live) => new AgentsSource(live, where, options), options, key ? CONNECTING : IDLE);
  const reconnect = useCallback(() => sourceOf(key)?.reconnect(), [key]);
  return useMemo(() => ({ ...shown, reconnect }), [shown, reconnect]);
}

/** @param {string} url @param {string | undefined} stateUrl @param {string} id */
function urls(url, stateUrl, id) {
  const isApi = !url.includes(":id");
  const stream = isApi ? `${url}/runs/:id/events?dialect=agents` : url;
  const state = stateUrl ?? (isApi ? `${url}/runs/:id?dialect=agents` : url.replace(/\/stream$/, ""));
  return { stream: stream.replace(":id", id), state: state.replace(":id", id) };
}

class AgentsSource {
  /** @type {Shown} */
  #now = CONNECTING;
  /** The last id of the stream. Without one the server shows first where the workflow is. */
  #cursor = "";
  /** @type {ReturnType<typeof connect> | undefined} */
  #connection;
  /** What has come of that: nobody is to see half of it. @type {[string, any][] | undefined} */
  #opening;

  /**
   * @param {any} live
   * @param {{stream: string, state: string}} where
   * @param {WorkflowStreamOptions} options
   */
  constructor(live, where, options) {
    this.live = live;
    this.where = where;
    this.options = live.current(options);
    this.#connect();
  }

  read = () => this.#now;

  /** Forgets the failures. */
  reconnect() {
    if (this.#now.status !== "failed") return this.#connection?.reconnect();
    this.#set({ status: "connecting", error: null });
    this.#connect();
  }

  close() {
    this.#connection?.close();
  }

  #connect() {
    this.#connection = connect({
      options: this.options,
      url: () => this.where.stream,
      cursor: () => this.#cursor,
      frame: (frame) => this.#take(frame),
      poll: (signal) => this.#poll(signal),
      status: (status, error = null) => {
        this.#opening = this.#cursor ? undefined : [];
        this.#set({ status, error });
        if (error) this.live.tell("onError", error);
      },
      end: () => this.#end(),
      fail: (error) => {
        this.#set({ status: "failed", error });
        this.live.tell("onError", error);
      },
    });
  }

  /** @param {Partial<Shown>} changes */
  #set(changes) {
    const now = { ...this.#now, ...changes };
    const isConnected = now.status === "live";
    this.#now = { ...now, isConnected, isStreaming: isConnected && !ENDED.includes(now.workflow?.status) };
    this.live.touch();
  }

  #end() {
    this.#connection?.close();
    this.#set({ status: "ended", error: null });
  }

  /** @param {import("./reader.js").Frame} frame */
  #take({ event, data, id }) {
    if (event === "stream.closing") throw new Error("the server closes the stream");
    if (event.startsWith("stream.")) return;
    let said;
    try {
      said = parse(data);
    } catch (error) {
      return console.error(`${this.where.stream}: the data of ${event} is not JSON`, error);
    }
    const isOpening = Boolean(this.#opening);
    const frames = this.#opening ?? [];
    frames.push([event, said]);
    if (isOpening && !id && OPENING.includes(event)) return; // the last one has an id
    this.#opening = undefined;
    this.#cursor = id;
    for (const [type, data] of frames) {
      this.#evolve(type, data, isOpening);
      this.live.tell("onEvent", type, data);
    }
    if (END.test(event)) this.#end();
  }

  /** @param {string} event @param {any} data @param {boolean} isOpening */
  #evolve(event, data, isOpening) {
    const { workflow, agents, logs } = this.#now;
    const [kind, what] = event.split(":");
    if (event === "workflow:state" && isOpening) this.#set({ workflow: data, agents: {}, logs: [] });
    else if (kind === "workflow") {
      const status = what === "started" ? "running" : END.test(event) ? what : undefined;
      this.#set({ workflow: { ...workflow, ...data, ...(status && { status }) } });
    } else if (kind === "agent") {
      const status = STATUS[/** @type {keyof STATUS} */ (event)];
      const agent = what === "started" ? data : { ...agents[data.agentName], ...data };
      this.#set({ agents: { ...agents, [data.agentName]: status ? { ...agent, status } : agent } });
    } else if (event === "log:created") this.#set({ logs: [...logs, data].slice(-LOGS_KEPT) });
  }

  /** Asks once for the state, and waits. @param {AbortSignal} signal */
  async #poll(signal) {
    const { clock = globalThis } = this.options;
    try {
      const answer = await request(this.where.state, { ...this.options, signal }, { headers: { Accept: "application/json" } });
      const { workflow, agents, logs } = parse(await answer.text());
      if (signal.aborted) return;
      this.#cursor = ""; // a stream that opens shows all of it anew: its events from the cursor on are in the state
      this.#set({ workflow, agents: byName(agents, this.#now.agents), logs: logs.slice(-LOGS_KEPT), error: null });
      if (ENDED.includes(workflow.status)) return this.#polledEnd(workflow);
    } catch (error) {
      if (!signal.aborted) this.#set({ error });
      throw error;
    }
    await new Promise((resolve) => {
      const timer = clock.setTimeout(() => resolve(undefined), POLL_MS);
      signal.addEventListener("abort", () => resolve(clock.clearTimeout(timer)));
    });
  }

  /** The end is told as by a stream. @param {any} workflow */
  #polledEnd({ status, duration, totalCost, iterations, currentStep, error }) {
    const event = status === "completed" ? "workflow:completed" : "workflow:failed";
    this.live.tell("onEvent", event, { duration, totalCost, iterations, currentStep, ...(error && { error }) });
    this.#end();
  }
}

/** Agents by name, those that have not changed as the objects that they were. @param {any[]} agents @param {any} before */
const byName = (agents, before) =>
  Object.fromEntries(agents.map((agent) => [agent.agentName, same(before[agent.agentName], agent)]));
