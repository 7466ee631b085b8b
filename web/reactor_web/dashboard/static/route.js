// Where the page is: the part of its address behind the `#`, so that the server need know nothing of it.
import { Changes } from "./ui.js";

/** `#/runs/r1/logs?task=a` -> `{path: ["runs", "r1", "logs"], query: {task: "a"}}` */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decoded), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The other way round; members of the query that are empty are left out. */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = `${new URLSearchParams(given)}`;
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a % that somebody typed
  }
}

class Place extends Changes {
  now = parse(location.hash);

  constructor() {
    super();
    addEventListener("hashchange", () => this.#moved());
  }

  #moved() {
    this.now = parse(location.hash);
    this.touch();
  }

  /** Goes there; `replace`: the way back leads past this place. */
  go(path, query, { replace = false } = {}) {
    const hash = address(path, query);
    if (hash === location.hash) return;
    if (replace) {
      history.replaceState(null, "", hash);
      this.#moved();
    } else location.hash = hash;
  }

  /** Changes the query of this place. */
  set(changes) {
    this.go(this.now.path, { ...this.now.query, ...changes }, { replace: true });
  }
}

export const place = new Place();
