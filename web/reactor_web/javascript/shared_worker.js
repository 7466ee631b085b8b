// The worker that keeps the connection of all tabs of one principal. It asks a tab for each token, and keeps none.
import { newId } from "./election.js";
import { Sharing } from "./sharing.js";

const PATIENCE_MS = 10_000;

/** The tabs; the first one is asked first. @type {MessagePort[]} */
let ports = [];
/** @type {Map<number, (value: any) => void>} */
const answers = new Map();
let asked = 0;
/** @type {Sharing | undefined} */
let sharing;

/** @param {MessagePort} port */
const others = (port) => ports.filter((other) => other !== port);

/** One tab after the other, until one answers: two that refresh a token at once may lock each other out. */
const ask = (/** @type {string} */ what) => async ({ refresh = false } = {}) => {
  for (const port of [...ports]) {
    const n = ++asked;
    const value = await new Promise((resolve) => {
      answers.set(n, resolve);
      port.postMessage({ n, ask: what, refresh });
      setTimeout(resolve, PATIENCE_MS);
    });
    answers.delete(n);
    if (value !== undefined) return value;
    if (ports.includes(port)) ports = [...others(port), port]; // it may be gone: it is asked last from now on
  }
  throw new Error(`no tab has given a ${what}`);
};

/** @type {any} */ (self).onconnect = (/** @type {MessageEvent} */ { ports: [port] }) => {
  port.onmessage = ({ data: { base, asks, options, bye, n, value } }) => {
    if (bye) ports = others(port);
    else if (n) answers.get(n)?.(value);
    else {
      ports = [port, ...ports];
      const callbacks = Object.fromEntries(asks.map((/** @type {string} */ what) => [what, ask(what)]));
      const how = { id: `!${newId()}`, beat: options.beat }; // the lowest: no tab leads while it is there
      sharing ??= new Sharing(self.name, base, { ...options, ...callbacks }, how);
      sharing.election.lead();
    }
  };
};
