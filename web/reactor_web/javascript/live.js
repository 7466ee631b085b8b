// What the components of a page share: one open source for all that show the same, closed when the last one has gone.
import { useCallback, useInsertionEffect, useRef, useSyncExternalStore } from "react";
import { Reactor } from "./api.js";
import { stringify } from "./json.js";

/**
 * @template S
 * @typedef {object} Source
 * @property {(was: S) => S} read  what is to be shown now; `was` itself where nothing has changed
 * @property {() => void} reconnect
 * @property {() => void} close
 */
/** @typedef {{notify: () => void, latest: {current: Record<string, any>}}} User  a component that shows a source */

/** Where the routes are mounted, if nobody says otherwise. */
export const BASE = "/api/v1";

/** @type {Map<string, Live<any>>} */
const lives = new Map();
/** Those that have something new to show. @type {Set<Live<any>>} */
const changed = new Set();

/** @template S */
class Live {
  /** @type {Set<User>} */
  users = new Set();
  isOpen = true;

  /** @param {S} shown @param {User} user */
  constructor(shown, user) {
    this.shown = shown;
    this.last = user;
  }

  /**
   * The options that a source is opened with; but functions, and a token, are those of the latest render.
   * @param {Record<string, any>} options
   * @returns {any}
   */
  current(options) {
    const current = { ...options };
    for (const name of ["token", "ticket", "fetch"]) {
      if (options[name] === undefined) continue;
      current[name] = (/** @type {any[]} */ ...given) => {
        const now = ([...this.users].at(-1) ?? this.last).latest.current[name];
        return typeof now === "function" ? now(...given) : now;
      };
    }
    return current;
  }

  /** Calls a callback of every component; one that throws stops nothing. @param {string} name @param {any[]} given */
  tell(name, ...given) {
    for (const { latest } of [...this.users]) {
      try {
        latest.current[name]?.(...given);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }

  /** What it shows has changed: it is shown with the next frame, once however often it changes until then. */
  touch() {
    if (!this.isOpen) return;
    changed.add(this);
    schedule();
  }

  close() {
    this.isOpen = false;
    if (changed.delete(this) && !changed.size) unschedule();
    this.source?.close();
  }

  /** @type {Source<S> | undefined} */
  source;
}

/** @type {number | undefined} */
let frame;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
const hasFrames = () => typeof requestAnimationFrame === "function" && !globalThis.document?.hidden;

/** With the next frame; after a moment where none come: in Node, in a page that is hidden or becomes so meanwhile. */
function schedule() {
  if (timer !== undefined) return;
  if (hasFrames()) frame = requestAnimationFrame(show);
  const wait = () => {
    timer = setTimeout(() => (frame !== undefined && hasFrames() ? wait() : show()), frame === undefined ? 16 : 500);
  };
  wait();
}

function unschedule() {
  if (frame !== undefined) cancelAnimationFrame(frame);
  clearTimeout(timer);
  frame = timer = undefined;
}

function show() {
  unschedule();
  const lives = [...changed];
  changed.clear();
  for (const live of lives) {
    const shown = live.source?.read(live.shown);
    if (shown === live.shown) continue;
    live.shown = shown;
    for (const { notify } of live.users) notify();
  }
}

/** A value as it was in the latest render. @template T @param {T} value */
export function useLatest(value) {
  const latest = useRef(value);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}

/**
 * What the source under `key` shows. The first component that mounts with a key opens it, the last one that leaves
 * closes it; nothing is opened while rendering, nor on a server. A key of null opens nothing.
 * @template S
 * @param {string | null} key
 * @param {(live: Live<S>) => Source<S>} open
 * @param {object} options  of this render; callbacks are called as they are in the latest one
 * @param {S} before  what is shown until something has come
 * @returns {S}
 */
export function useLive(key, open, options, before) {
  const latest = useLatest(options);
  const subscribe = useCallback(
    (/** @type {() => void} */ notify) => (key === null ? () => {} : join(key, open, { notify, latest }, before)),
    [key],
  );
  const shown = () => lives.get(key ?? "")?.shown ?? before;
  return useSyncExternalStore(subscribe, shown, () => before);
}

/**
 * @template S
 * @param {string} key
 * @param {(live: Live<S>) => Source<S>} open
 * @param {User} user
 * @param {S} before
 */
function join(key, open, user, before) {
  /** @type {Live<S>} */
  const live = lives.get(key) ?? new Live(before, user);
  live.users.add(user);
  live.source ??= open(live);
  lives.set(key, live);
  return () => {
    live.users.delete(user);
    // another component, or StrictMode, may come in the same commit: it finds the source open
    queueMicrotask(() => {
      if (live.users.size || !live.isOpen) return;
      lives.delete(key);
      live.close();
    });
  };
}

/**
 * `was`, if it has the same members; else `now`, as a copy.
 * @template {object} T
 * @param {T} was
 * @param {T} now
 * @returns {T}
 */
export function kept(was, now) {
  const names = /** @type {(keyof T)[]} */ (Object.keys(now));
  if (names.length === Object.keys(was).length && names.every((name) => was[name] === now[name])) return was;
  return Array.isArray(now) ? now : { ...now };
}

/** `was`, if it says the same. @template T @param {T | undefined} was @param {T} now */
export const same = (was, now) => (was && stringify(was) === stringify(now) ? was : now);

/** The source that is open under a key. @param {string | null} key @returns {any} */
export const sourceOf = (key) => lives.get(key ?? "")?.source;

/**
 * One key for all that may share a source: whose it is (`principal`, else a token that is a text), and every option that
 * is no function. Options that are equal give the same key.
 * @param {unknown[]} what
 * @param {Record<string, any>} options
 */
export function keyOf(what, { principal, token, types, enabled, ...options }) {
  const whose = principal ?? (typeof token === "string" ? token : null);
  const values = Object.entries(options).filter(([, value]) => value !== undefined && typeof value !== "function");
  return JSON.stringify([what, whose, values.sort()]);
}

/** The routes as a component asks for them. @param {string} url @param {any} options */
export const apiOf = (url, { token, headers, fetch, credentials, signal }) =>
  new Reactor(url, { token, headers, fetch, credentials, signal });
