/** A value as it was in the latest render. @template T @param {T} value */
export function useLatest<T>(value: T): import("react").RefObject<T>;
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
export function useLive<S>(key: string | null, open: (live: Live<S>) => Source<S>, options: object, before: S): S;
/**
 * `was`, if it has the same members; else `now`, as a copy.
 * @template {object} T
 * @param {T} was
 * @param {T} now
 * @returns {T}
 */
export function kept<T extends object>(was: T, now: T): T;
/**
 * One key for all that may share a source: whose it is (`principal`, else a token that is a text), and every option that
 * is no function. Options that are equal give the same key.
 * @param {unknown[]} what
 * @param {Record<string, any>} options
 */
export function keyOf(what: unknown[], { principal, token, types, enabled, ...options }: Record<string, any>): string;
/**
 * @template S
 * @typedef {object} Source
 * @property {(was: S) => S} read  what is to be shown now; `was` itself where nothing has changed
 * @property {() => void} reconnect
 * @property {() => void} close
 */
/** @typedef {{notify: () => void, latest: {current: Record<string, any>}}} User  a component that shows a source */
/** Where the routes are mounted, if nobody says otherwise. */
export const BASE: "/api/v1";
export function same<T>(was: T | undefined, now: T): T;
export function sourceOf(key: string | null): any;
export function apiOf(url: string, { token, headers, fetch, credentials, signal }: any): Reactor;
export type Source<S> = {
    /**
     * what is to be shown now; `was` itself where nothing has changed
     */
    read: (was: S) => S;
    reconnect: () => void;
    close: () => void;
};
/**
 * a component that shows a source
 */
export type User = {
    notify: () => void;
    latest: {
        current: Record<string, any>;
    };
};
/** @template S */
declare class Live<S> {
    /** @param {S} shown @param {User} user */
    constructor(shown: S, user: User);
    /** @type {Set<User>} */
    users: Set<User>;
    isOpen: boolean;
    shown: S;
    last: User;
    /**
     * The options that a source is opened with; but functions, and a token, are those of the latest render.
     * @param {Record<string, any>} options
     * @returns {any}
     */
    current(options: Record<string, any>): any;
    /** Calls a callback of every component; one that throws stops nothing. @param {string} name @param {any[]} given */
    tell(name: string, ...given: any[]): void;
    /** What it shows has changed: it is shown with the next frame, once however often it changes until then. */
    touch(): void;
    close(): void;
    /** @type {Source<S> | undefined} */
    source: Source<S> | undefined;
}
import { Reactor } from "./api.js";
export {};
