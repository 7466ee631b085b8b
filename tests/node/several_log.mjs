// A log of several runs in a simulated world, and the two routes that are asked: late, cut, and in pieces.

export class Log {
  events = [];
  last = {};
  streams = new Set();
  /** How many requests have come. */
  asked = 0;

  constructor(world) {
    this.world = world;
    this.random = world.random;
  }

  say(run, type = "step.made") {
    const seq = (this.last[run] = (this.last[run] ?? 0) + 1);
    this.events.push({ seq, run_id: run, type, time: "", data: {} });
    for (const stream of this.streams) this.#send(stream);
  }

  /** The last events of all are gone, as those of a disk that was not written to in time; the server begins again. */
  lose(count) {
    for (const { run_id: run, seq } of this.events.splice(-count).reverse()) this.last[run] = seq - 1;
    this.cut();
  }

  /** All connections, or those of one thread. What is on its way is lost. */
  cut(thread) {
    for (const stream of this.streams) {
      if (thread && stream.thread !== thread) continue;
      this.#leave(stream);
      stream.controller.error(new TypeError("cut"));
    }
  }

  /** `fetch` as this thread has it. */
  fetchOf(thread) {
    return async (url, { signal }) => {
      await thread.rest(this.random() * 150);
      signal?.throwIfAborted();
      const answer = this.#answer(new URL(url), signal, thread);
      await thread.rest(this.random() ** 3 * 150);
      signal?.throwIfAborted();
      return answer;
    };
  }

  #answer({ pathname, searchParams: query }, signal, thread) {
    this.asked += 1;
    if (this.random() < 0.1) throw new TypeError("no network");
    if (this.random() < 0.05) return new Response("busy", { status: 503 });
    if (!query.has("runs")) return this.#page(pathname.split("/")[4], query);
    return query.has("wait") ? this.#poll(query) : this.#stream(query, signal, thread);
  }

  #page(run, query) {
    const last = this.last[run];
    if (!last) return Response.json({ detail: `there is no run ${run}` }, { status: 404 });
    let after = Number(query.get("after"));
    const events = [];
    if (after > last) {
      events.push(gap(run, last + 1, after));
      after = 0;
    }
    const found = this.events.filter((event) => event.run_id === run && event.seq > after);
    const most = Math.min(Number(query.get("limit")), 1 + Math.floor(this.random() * 8));
    events.push(...found.slice(0, most));
    const hasAll = found.length <= most;
    return Response.json({ events, ended: hasAll && this.hasEnded(run), cursor: 0 });
  }

  hasEnded(run) {
    return this.events.some((event) => event.run_id === run && event.type === "run.completed");
  }

  #poll(query) {
    const runs = query.get("runs").split(",");
    const after = Number(query.get("after"));
    const events = this.events.slice(after).filter((event) => runs.includes(event.run_id));
    return Response.json({ events, cursor: `${this.events.length}` });
  }

  #stream(query, signal, thread) {
    const [runs, at] = [query.get("runs").split(","), Number(query.get("after"))];
    const stream = { runs, at, thread, line: thread.line(60) };
    signal?.addEventListener("abort", () => this.#leave(stream));
    const body = new ReadableStream({
      start: (controller) => {
        stream.controller = controller;
        this.streams.add(stream);
        this.#beat(stream);
        this.#send(stream);
      },
      cancel: () => this.#leave(stream),
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }

  /** A connection that has nothing to say is not silent: it is no help to whoever waits for it to be made anew. */
  #beat(stream) {
    if (!this.streams.has(stream)) return;
    this.#write(stream, ":\n\n");
    this.world.plan(() => this.#beat(stream), this.world.now + 15_000);
  }

  #leave(stream) {
    this.streams.delete(stream);
  }

  #send(stream) {
    let text = "";
    if (stream.at > this.events.length) {
      text += `event: stream.gap\ndata: ${JSON.stringify(gap("", 1, stream.at))}\n\n`;
      stream.at = 0;
    }
    for (; stream.at < this.events.length; stream.at++) {
      const event = this.events[stream.at];
      if (!stream.runs.includes(event.run_id)) continue;
      text += `id: ${stream.at + 1}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
    }
    if (text) this.#write(stream, text);
  }

  #write(stream, text) {
    const bytes = new TextEncoder().encode(text);
    const middle = Math.floor(this.random() * bytes.length);
    for (const part of [bytes.subarray(0, middle), bytes.subarray(middle)]) {
      if (part.length) stream.line(() => this.streams.has(stream) && stream.controller.enqueue(part));
    }
  }
}

const gap = (run, from, to) => ({ run_id: run, type: "stream.gap", time: "", data: { from, to, reason: "ahead" } });
