// Who looks: the token of this tab, what it may do, and the API that it asks.
import { Reactor } from "./client/reactor.js";
import { Changes } from "./ui.js";

const KEY = "reactor-token";
const base = new URL(document.querySelector("meta[name=reactor-api]").content, document.baseURI).href;

/** Of a browser that stores nothing. */
function stored(area, key) {
  try {
    return area()?.getItem(key) ?? "";
  } catch {
    return "";
  }
}

class Session extends Changes {
  /** "asking", "in", "out" (who looks must say who they are) or "away" (the server does not answer). */
  status = "asking";
  /** What the server takes who looks for. */
  principal = null;
  error = null;
  #token = stored(() => sessionStorage, KEY);

  constructor() {
    super();
    this.api = new Reactor(base, { token: () => this.#token });
  }

  get hasToken() {
    return Boolean(this.#token);
  }

  may(scope) {
    return this.principal?.scopes.includes(scope) ?? false;
  }

  async begin() {
    try {
      this.principal = await this.api.send("GET", "/whoami");
      this.#set("in", null);
    } catch (error) {
      if (error.status === 401) this.signOut(this.#token ? error : null);
      else this.#set(error.status === 403 ? "out" : "away", error);
    }
  }

  async signIn(token) {
    this.#keep(token.trim());
    await this.begin();
    return this.status === "in";
  }

  signOut(error = null) {
    this.#keep("");
    this.principal = null;
    this.#set("out", error);
  }

  /** An answer that says that nobody is signed in any more. Returns the error. */
  told(error) {
    if (error?.status === 401 && this.status === "in") this.signOut(error);
    return error;
  }

  #keep(token) {
    this.#token = token;
    try {
      if (token) sessionStorage.setItem(KEY, token);
      else sessionStorage.removeItem(KEY);
    } catch {
      // it is kept for as long as the page is there
    }
  }

  #set(status, error) {
    this.status = status;
    this.error = error;
    this.touch();
  }
}

export const session = new Session();

/** light, dark or "" as the system has it. */
export const theme = {
  now: stored(() => localStorage, "reactor-theme"),
  set(value) {
    theme.now = value;
    document.documentElement.dataset.theme = value || "auto";
    try {
      localStorage.setItem("reactor-theme", value);
    } catch {
      // it holds for this page
    }
    dispatchEvent(new Event("themechange"));
  },
};
document.documentElement.dataset.theme = theme.now || "auto";
