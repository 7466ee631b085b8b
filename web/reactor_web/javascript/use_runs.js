// `useRuns`: a list of runs, live.
import { useMemo } from "react";
import { connect } from "./connection.js";
import { BASE, apiOf, kept, keyOf, same, sourceOf, useLatest, useLive } from "./live.js";
import { ReactorError, withQuery } from "./request.js";

/** @typedef {import("./use_run.js").HookOptions} HookOptions */
/** @typedef {import("./use_run.js").RunOptions} RunOptions */

/** Runs that a list has at most: those of one page of the server. */
const MOST_RUNS = 1000;
/** Milliseconds between two requests for the same list, however much happens; if nobody tells what happens; if all is
 * quiet, because no stream tells that a run was deleted: its events stay those that they were. */
const LIST_EVERY = 1000;
const LIST_ANYWAY = 5000;
const LIST_QUIET = 60_000;

/** Those that are open in this page. @type {Set<ListSource>} */
const lists = new Set();

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
  const latest = useLatest(options);
  return useMemo(
    () => ({
      ...shown,
      /** Shows another page below, up to 1,000 runs in all. @returns {void} */
      loadMore: () => sourceOf(key)?.loadMore(),
      /** Asks at once. @returns {void} */
      refresh: () => sourceOf(key)?.refresh(),
      /** Deletes a run that has ended, on the server; the lists of this page have dropped it then. @param {string} runId */
      async remove(runId) {
        await apiOf(url, latest.current).run(runId).delete();
        for (const list of lists) if (list.url === url) list.drop(runId);
      },
    }),
    [shown, key, url],
  );
}

/** @typedef {{runs: any[], error: any, isLoading: boolean, hasMore: boolean}} ListShown */
/** @type {ListShown} */
const LOADING = Object.freeze({ runs: [], error: null, isLoading: true, hasMore: false });
/** @type {ListShown} */
const NO_LIST = Object.freeze({ ...LOADING, isLoading: false });

/**
 * A list. It is asked for again when a run begins, ends or changes its status, but once a second at most; when the page
 * is shown again; and every few seconds while no stream tells what happens.
 */
class ListSource {
  #now = LOADING;
  #isAsking = false;
  /** Whether something has happened since it was asked for. */
  #isOld = false;
  #isTold = false;
  /** Runs that were deleted since it was asked for. @type {Set<string>} */
  #removed = new Set();
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
    lists.add(this);
    globalThis.document?.addEventListener("visibilitychange", this.#isSeen);
    this.#ask();
  }

  #isSeen = () => {
    if (globalThis.document?.visibilityState === "visible") this.#happened();
  };

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

  /** A run that is not there any more. @param {string} runId */
  drop(runId) {
    this.#removed.add(runId);
    const runs = this.#now.runs.filter((run) => run.run_id !== runId);
    if (runs.length === this.#now.runs.length) return;
    this.#set({ runs });
    this.#happened(); // another one may have its place
  }

  reconnect() {
    this.#connection?.reconnect();
  }

  close() {
    lists.delete(this);
    globalThis.document?.removeEventListener("visibilitychange", this.#isSeen);
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
    this.#removed.clear();
    const size = this.size;
    /** @type {any} */
    let error = null;
    try {
      /** @type {{runs: any[], cursor: string | null, position?: number}} */
      const page = await this.api.list({ ...this.filter, limit: size });
      const before = new Map(this.#now.runs.map((run) => [run.run_id, run]));
      const found = page.runs.filter((run) => !this.#removed.has(run.run_id));
      const runs = found.map((run) => same(before.get(run.run_id), run));
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
