// What all components share: elements, hooks, and one render a frame.
import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";
import { useEffect, useReducer } from "./vendor/hooks.js";

export { render } from "./vendor/preact.js";
export * from "./vendor/hooks.js";
export const html = htm.bind(h);

/** Tells who listens that something has changed, once a frame at most, whatever the rate of changes. */
export class Changes {
  /** How many changes there have been. */
  count = 0;
  #listeners = new Set();
  #isPlanned = false;

  touch() {
    this.count += 1;
    if (this.#isPlanned || !this.#listeners.size) return;
    this.#isPlanned = true;
    requestAnimationFrame(() => {
      this.#isPlanned = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }

  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** The component is rendered anew when these have changed. */
export function useChanges(changes) {
  const [, again] = useReducer((count) => count + 1, 0);
  const seen = changes.count;
  useEffect(() => {
    if (changes.count !== seen) again(); // between this render and now
    return changes.listen(again);
  }, [changes]);
}

/** The component is rendered anew every so many milliseconds, while `isOn`. */
export function useTick(ms, isOn = true) {
  const [, again] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    if (!isOn) return undefined;
    const timer = setInterval(() => document.visibilityState === "visible" && again(), ms);
    return () => clearInterval(timer);
  }, [ms, isOn]);
}

/** The title of the page, while the component is there. */
export function useTitle(title) {
  useEffect(() => {
    document.title = title ? `${title} · Reactor` : "Reactor";
  }, [title]);
}

/** What an asynchronous function gives: `{value, error, isLoading}`; asked anew when one of these changes. */
export function useAsked(ask, inputs) {
  const [asked, take] = useReducer((_, next) => next, { isLoading: true });
  useEffect(() => {
    let isCurrent = true;
    const settle = (next) => isCurrent && take({ isLoading: false, ...next });
    take({ isLoading: true });
    ask().then((value) => settle({ value }), (error) => settle({ error }));
    return () => {
      isCurrent = false;
    };
  }, inputs);
  return asked;
}
