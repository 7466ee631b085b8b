// Laws of `follow` that need a server that answers as the law wants. Prints [law, true] for each that holds, [law, why] for
// each that does not; the last is that nothing is left open.
import http from "node:http";
import assert from "node:assert/strict";
import { follow, Reactor, ReactorError } from "../../web/reactor_web/javascript/reactor.js";

/** @type {(request: http.IncomingMessage, answer: http.ServerResponse) => void} */
let serve;
const server = http.createServer((request, answer) => {
  answer.shouldKeepAlive = false; // no law finds a connection that the last one has left
  serve(request, answer);
});
server.listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const url = `${base}/runs/r1`;

const event = (seq, type = "x", data = {}) => ({ seq, run_id: "r1", type, time: "2026-01-01T00:00:00Z", data });
const frame = (message) => `data: ${JSON.stringify(message)}\n\n`;
const END = "run.completed";

function open(answer, ...messages) {
  answer.writeHead(200, { "Content-Type": "text/event-stream" });
  answer.write(`:\n${messages.map(frame).join("")}`);
}

const fast = (speed) => ({
  now: () => performance.now() * speed,
  setTimeout: (call, ms) => setTimeout(call, ms / speed),
  clearTimeout: (timer) => clearTimeout(timer),
});

/** Until everything that is on its way has come: a request of ours is answered. */
async function settled() {
  const before = serve;
  serve = (_, answer) => answer.end();
  await (await fetch(base)).text();
  await new Promise((resolve) => setImmediate(resolve));
  serve = before;
}

const LAWS = {
  async "an aborted signal starts nothing"() {
    let asked = 0;
    serve = (_, answer) => answer.end(`${++asked}`);
    const stream = follow(url, { signal: AbortSignal.abort(), token: () => `${++asked}` });
    await stream.done;
    await settled();
    assert.deepEqual([asked, stream.status], [0, "ended"]);
  },

  async "after a close in a handler nothing is called, and a loop gets nothing more"() {
    serve = (_, answer) => open(answer, event(1), event(2));
    const told = [];
    const stream = follow(url, {
      onState() {
        told.push("state");
        stream.close();
      },
      onEvent: () => told.push("event"),
      onStatus: (status) => told.push(status),
    });
    for await (const { seq } of stream) told.push(seq);
    await settled();
    assert.deepEqual(told, ["live", "state"]);
    assert.equal(stream.status, "ended");
  },

  async "close() in a loop ends it at once"() {
    serve = (_, answer) => open(answer, ...Array.from({ length: 50 }, (_, index) => event(index + 1)));
    const stream = follow(url);
    const seqs = [];
    for await (const { seq } of stream) {
      seqs.push(seq);
      if (seq === 3) stream.close();
    }
    assert.deepEqual(seqs, [1, 2, 3]);
  },

  async "reconnect() gets out of a token that never comes"() {
    let asked = 0;
    serve = (_, answer) => open(answer, event(1, END, { duration_ms: 1 }));
    const called = deferred();
    const token = () => {
      called.resolve();
      return asked++ ? "t" : new Promise(() => {});
    };
    const stream = follow(url, { token });
    await called.promise;
    stream.reconnect();
    assert.equal((await stream.done).status, "completed");
    assert.equal(asked, 2);
  },

  async "what is no URL of HTTP is final, also for Reactor"() {
    for (const wrong of ["/api/v1/runs/r1", "http://[", "ftp://127.0.0.1/runs/r1"]) {
      const stream = follow(wrong);
      await assert.rejects(stream.done, (error) => error instanceof ReactorError && error.message.includes(wrong));
      assert.equal(stream.status, "failed");
    }
    await assert.rejects(new Reactor("/api/v1").get("r1"), ReactorError);
    const fetched = follow("/runs/r1", { fetch: async () => new Response(null, { status: 204 }) });
    await fetched.done; // a fetch of one's own may know where that is
  },

  async "options that make other streams are refused"() {
    for (const name of ["children", "dialect", "logs", "names", "view"]) {
      assert.throws(() => follow(url, { query: { [name]: 1 } }), { name: "TypeError", message: new RegExp(`query.${name}$`) });
    }
  },

  async "maxFailures ends it, reconnect() begins again, and the signal still ends that"() {
    const leaving = new AbortController();
    let isUp = false;
    serve = (_, answer) => (isUp ? open(answer, event(1)) : answer.writeHead(503).end());
    const told = deferred();
    const options = { maxFailures: 3, clock: fast(200), signal: leaving.signal, onEvent: () => told.resolve() };
    const stream = follow(url, options);
    await assert.rejects(stream.done, ReactorError);
    await assert.rejects(async () => {
      for await (const _ of stream);
    }, ReactorError);
    isUp = true;
    stream.reconnect();
    await told.promise;
    assert.equal(stream.status, "live");
    leaving.abort();
    await stream.done;
    assert.equal(stream.status, "ended");
  },

  async "two loops are both bounded, whichever is slow, and each gets every event"() {
    const COUNT = 4000;
    serve = (_, answer) => {
      const messages = Array.from({ length: COUNT }, (_, index) => event(index + 1));
      open(answer, ...messages, event(COUNT + 1, END, { duration_ms: 1 }));
      answer.end();
    };
    for (const slow of [0, 1]) {
      const stream = follow(url);
      const loops = [stream[Symbol.asyncIterator](), stream[Symbol.asyncIterator]()];
      const first = await Promise.all(loops.map((loop) => loop.next()));
      assert.deepEqual(first.map(({ value }) => value.seq), [1, 1]);
      const ahead = loops[1 - slow];
      let last = 1;
      while (last < 1001) last = (await ahead.next()).value.seq; // all that the slow one lets come
      const more = ahead.next();
      await settled();
      assert.equal(stream.lastSeq, 1001);
      const rest = async (loop, last) => {
        for await (const { seq } of loop) assert.equal(seq, ++last);
        return last;
      };
      const ends = await Promise.all([rest(loops[slow], 1), more.then(({ value }) => rest(ahead, value.seq))]);
      assert.deepEqual(ends, [COUNT + 1, COUNT + 1]);
    }
  },

  async "next() may be called before the last one is answered"() {
    serve = (_, answer) => open(answer, event(1), event(2), event(3, END, { duration_ms: 1 }));
    const loop = follow(url)[Symbol.asyncIterator]();
    const found = await Promise.all([loop.next(), loop.next(), loop.next(), loop.next()]);
    assert.deepEqual(found.map(({ value }) => value?.seq), [1, 2, 3, undefined]);
  },

  async "a start whose answer was lost is sent again with the same key"() {
    const asked = [];
    serve = (request, answer) => {
      asked.push([request.method, request.url, request.headers["idempotency-key"]].join(" "));
      if (asked.length < 3) return request.socket.destroy();
      request.resume();
      answer.writeHead(201, { "Content-Type": "application/json" }).end("{}");
    };
    const run = await new Reactor(base).start("w", {});
    assert.equal(asked.length, 3);
    assert.equal(new Set(asked).size, 1);
    assert.ok(asked[0].startsWith(`PUT /api/v1/runs/${run.id} `));
  },
};

function deferred() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

const show = (law, holds) => console.log(JSON.stringify([law, holds]));
for (const [law, hold] of Object.entries(LAWS)) {
  show(law, await hold().then(() => true, (error) => error.stack));
  server.closeAllConnections();
}
server.close();
await new Promise((resolve) => setTimeout(resolve, 50));
const left = process.getActiveResourcesInfo().filter((name) => /^(Timeout|TCP)/.test(name));
show("nothing is left open", left.length ? left.join() : true);
