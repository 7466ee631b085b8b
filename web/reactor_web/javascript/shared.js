// `followShared`: as `follow`, but all tabs of an origin with the same server and the same user have one connection.
import { connect } from "./connection.js";
import { Stream, streamed } from "./follow.js";
import { Lane } from "./lane.js";
import { ReactorError } from "./request.js";
import { Sharing } from "./sharing.js";

const RUN = /^(.*)\/runs\/([\w.~-]{1,64})$/;

/** What this page shares, by the name of the channel. @type {Map<string, Shared>} */
const open = new Map();

/** 128 bits: no two users of a browser have the same. (crypto.subtle is missing on plain http.) @param {string} text */
const hash = (text) =>
  [1, 2, 3, 4].map((seed) => {
    let h = Math.imul(seed, 0x9e3779b9);
    for (const byte of new TextEncoder().encode(text)) {
      h = Math.imul(h ^ byte, 0x85ebca6b);
      h ^= (h >>> 13) + seed;
    }
    return (h >>> 0).toString(36);
  }).join("");

/** Who asks; undefined: nobody can tell, so nothing is shared. @param {SharedOptions} options */
async function principalOf({ principal, token, ticket, headers, fetch }) {
  if (principal !== undefined) return `=${principal}`;
  if (ticket || fetch) return;
  const given = typeof token === "function" ? await token({ refresh: false }) : token;
  return JSON.stringify([given, [...new Headers(headers)]]);
}

/** One channel of this page. It is closed while the page is hidden away, because nobody answers there. */
class Shared {
  /** @type {Set<Lane>} */
  lanes = new Set();
  position = "0";

  /** @param {string} name @param {string} base @param {SharedOptions} options */
  constructor(name, base, options) {
    this.name = name;
    this.base = base;
    this.options = { ...options, signal: undefined, maxFailures: undefined }; // those are of one stream
    this.start();
    this.#listen("addEventListener");
  }

  start = () => {
    if (this.sharing) return;
    const hasWorker = this.#startWorker();
    const how = { beat: this.options.beat, isLater: hasWorker };
    this.sharing = new Sharing(this.name, this.base, this.options, how);
    this.sharing.position = this.position;
    for (const lane of this.lanes) this.sharing.add(lane);
  };

  stop = () => {
    this.position = this.sharing?.position ?? this.position;
    this.sharing?.close();
    this.sharing = undefined;
    this.port?.postMessage({ bye: true });
    this.port?.close();
    this.port = undefined;
  };

  /** @param {Lane} lane */
  add(lane) {
    this.lanes.add(lane);
    this.sharing?.add(lane);
  }

  /** @param {Lane} lane */
  remove(lane) {
    this.lanes.delete(lane);
    this.sharing?.remove(lane);
    if (this.lanes.size) return;
    this.#listen("removeEventListener");
    this.stop();
    open.delete(this.name);
  }

  /** @param {"addEventListener" | "removeEventListener"} verb */
  #listen(verb) {
    globalThis[verb]?.("pagehide", this.stop);
    globalThis[verb]?.("pageshow", this.start);
    globalThis.document?.[verb]("freeze", this.stop);
    globalThis.document?.[verb]("resume", this.start);
  }

  /** Whether there is a worker that can lead. It has no token: it asks for one. */
  #startWorker() {
    const { token, ticket, headers, credentials, heartbeat, fetch } = this.options;
    if (typeof SharedWorker === "undefined" || fetch) return false;
    try {
      const url = new URL("./shared_worker.js", import.meta.url);
      const worker = new SharedWorker(url, { type: "module", name: this.name });
      worker.onerror = () => this.sharing?.election.lead(); // its file cannot be had
      const port = (this.port = worker.port);
      port.onmessage = async ({ data: { n, ask, refresh } }) => {
        const source = /** @type {any} */ (this.options)[ask];
        try {
          port.postMessage({ n, value: typeof source === "function" ? await source({ refresh }) : source });
        } catch (error) {
          port.postMessage({ n }); // another tab may know
          reportError(error);
        }
      };
      const asks = [token && "token", ticket && "ticket"].filter(Boolean);
      const { base, options: { beat } } = this;
      port.postMessage({ base, asks, options: { headers, credentials, heartbeat, beat } });
      return true;
    } catch {
      return false; // the module is from another origin
    }
  }
}

/**
 * @typedef {import("./types.js").FollowOptions & {principal?: string, beat?: number}} SharedOptions
 *   `principal`: who asks, where the token does not tell; `beat`: milliseconds between two signs of life
 */

/**
 * Follows a run. Where its connection cannot be shared, the stream has one of its own, and its status says why.
 * @param {string} url of the run
 * @param {SharedOptions} [options]
 * @returns {Stream}
 */
export function followShared(url, options = {}) {
  const stream = new Stream(new URL(url, globalThis.location?.href).href, options);
  share(stream, options).catch((error) => alone(stream, error.message));
  return stream;
}

/** The stream gets a connection of its own. @param {Stream} stream @param {string} why */
function alone(stream, why) {
  if (stream.hasEnded) return;
  const source = streamed(stream);
  const reason = new ReactorError(`not shared with other tabs: ${why}`);
  source.status = (status, detail = reason) => stream.setStatus(status, detail);
  stream.attach(connect(source));
}

/** @param {Stream} stream @param {SharedOptions} options */
async function share(stream, options) {
  const [, base, run] = RUN.exec(stream.url) ?? [];
  const principal = await principalOf(options);
  if (stream.hasEnded) return;
  if (!run || options.query) return alone(stream, "it is not all of one run");
  if (principal === undefined) return alone(stream, "principal= must say who asks");
  const name = `reactor-client 1 ${base} ${hash(`${!!options.token}${!!options.ticket}${principal}`)}`;
  const channel = open.get(name) ?? new Shared(name, base, options);
  open.set(name, channel);
  const lane = new Lane(run, stream);
  lane.alone = (why) => alone(stream, why);
  stream.attach({
    reconnect: () => channel.sharing?.reconnect(),
    close() {
      lane.close();
      channel.remove(lane);
    },
  });
  channel.add(lane);
}
