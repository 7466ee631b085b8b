// Runs a snippet as a page of a browser would: `node browser.mjs BASE SNIPPET`.
// What the snippet shows in `out` is printed as JSON, a line for each change; a line `null` when it has closed its
// stream, and `{"refused": 502}` when a server has closed it for good.
import { readFileSync } from "node:fs";

const [base, snippet] = process.argv.slice(2);

// Node has no EventSource that works: the one behind its flag gives up when a server is away for a moment. This one has
// what the standard says of connections and frames, as far as our server sends them.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
class EventSource extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;

  readyState = EventSource.CONNECTING;
  #url;
  #abort = new AbortController();
  #lastId = "";
  #retry = 100;

  constructor(url) {
    super();
    this.#url = new URL(url, base);
    this.#run();
  }

  close() {
    this.readyState = EventSource.CLOSED;
    this.#abort.abort();
    console.log("null");
  }

  async #run() {
    while (this.readyState !== EventSource.CLOSED) {
      try {
        await this.#connect();
      } catch {
        // a lost or refused connection is tried again, and so is one that has ended
      }
      if (this.readyState === EventSource.CLOSED) return;
      this.readyState = EventSource.CONNECTING;
      this.dispatchEvent(new Event("error"));
      await new Promise((resolve) => setTimeout(resolve, this.#retry));
    }
  }

  async #connect() {
    const headers = { Accept: "text/event-stream", ...(this.#lastId && { "Last-Event-ID": this.#lastId }) };
    const response = await fetch(this.#url, { headers, signal: this.#abort.signal });
    if (response.status !== 200 || !response.headers.get("content-type")?.startsWith("text/event-stream")) {
      this.readyState = EventSource.CLOSED; // any other answer is final
      console.log(JSON.stringify({ refused: response.status }));
      this.dispatchEvent(new Event("error"));
      return;
    }
    this.readyState = EventSource.OPEN;
    let text = "";
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (text + piece).split("\n\n");
      text = blocks.pop();
      blocks.forEach((block) => this.#dispatch(block));
    }
  }

  #dispatch(block) {
    let type = "message", data = "";
    for (const line of block.split("\n")) {
      const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (name === "id") this.#lastId = value;
      if (name === "event") type = value;
      if (name === "retry") this.#retry = Math.min(Number(value), 500); // tests have less patience than browsers
      if (name === "data") data += value;
    }
    if (data && this.readyState === EventSource.OPEN) {
      this.dispatchEvent(new MessageEvent(type, { data, lastEventId: this.#lastId }));
    }
  }
}

const out = {
  text: "",
  show() {
    console.log(JSON.stringify(this.text));
  },
  append(text) {
    this.text += text;
    this.show();
  },
  replaceChildren() {
    this.text = "";
    this.show();
  },
};

new Function("EventSource", "out", readFileSync(snippet, "utf8"))(EventSource, out);
