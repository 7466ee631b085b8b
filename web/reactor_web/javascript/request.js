// One request, with whatever shows who asks; a refusal becomes a ReactorError.
import { parse } from "./json.js";

/** @typedef {import("./types.js").RequestOptions} RequestOptions */

/** What the server refused, or could not do. `message` is its sentence. */
export class ReactorError extends Error {
  name = "ReactorError";
  /** Whether it is no use to ask again. */
  isFinal = false;
  /** Milliseconds that the server asks to wait. */
  wait = 0;

  /**
   * @param {string} message
   * @param {number} [status] of HTTP
   * @param {any} [problem] the problem document
   */
  constructor(message, status, problem) {
    super(message);
    this.status = status;
    this.problem = problem;
  }
}

/** An error after which it is no use to ask again. @param {string} message @param {number} [status] */
export function final(message, status) {
  return Object.assign(new ReactorError(message, status), { isFinal: true });
}

/**
 * The answer to a request, if it is one of success.
 * @param {string} url
 * @param {RequestOptions} options
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 * @throws {ReactorError} for every other answer; what `fetch` throws where there is none
 */
export async function request(url, options, init = {}) {
  const { token, fetch = globalThis.fetch, credentials, signal } = options;
  if (!options.fetch && !isHttp(url)) throw final(`${url} is no URL of HTTP`);
  const ask = async (/** @type {boolean} */ refresh) => {
    const bearer = typeof token === "function" ? await token({ refresh }) : token;
    const headers = { ...options.headers, ...init.headers, ...(bearer && { Authorization: `Bearer ${bearer}` }) };
    return fetch(url, { cache: "no-store", credentials, signal, ...init, headers });
  };
  let answer = await ask(false);
  if (answer.status === 401 && typeof token === "function") {
    await answer.body?.cancel();
    answer = await ask(true);
  }
  if (!answer.ok) throw await refusal(url, answer);
  return answer;
}

/**
 * The answer to a request for events, a stream or a page. A ticket opens these and nothing else.
 * @param {string} url
 * @param {RequestOptions} options
 * @param {string} accept which of them
 */
export async function requestEvents(url, options, accept) {
  return request(withQuery(url, { ticket: await options.ticket?.() }), options, { headers: { Accept: accept } });
}

/** Else `fetch` would fail as it does where the network is away. @param {string} url */
function isHttp(url) {
  try {
    return new Request(url).url.startsWith("http");
  } catch {
    return false;
  }
}

/** @param {string} url @param {Response} answer */
async function refusal(url, answer) {
  const { status } = answer;
  const problem = await answer.text().then(parse).catch(() => undefined); // a proxy has no problem document
  const error = new ReactorError(problem?.detail ?? `${url.split("?")[0]} answers ${status}`, status, problem);
  error.isFinal = status >= 400 && status < 500 && ![408, 425, 429].includes(status);
  const after = answer.headers.get("Retry-After");
  if (after) error.wait = Math.max(0, /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now()) || 0;
  return error;
}

/** An URL with more options in its query. @param {string} url @param {Record<string, any>} query */
export function withQuery(url, query) {
  const entries = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const text = `${new URLSearchParams(entries)}`;
  return text ? `${url}${url.includes("?") ? "&" : "?"}${text}` : url;
}
