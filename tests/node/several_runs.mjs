// Several runs on one connection, without a browser: `node several_runs.mjs lane|all|tabs SEED…`. For each seed a line of
// JSON with what must be true of it.
import { followAll } from "../../web/reactor_web/javascript/follow_all.js";
import { Stream } from "../../web/reactor_web/javascript/follow.js";
import { Lane } from "../../web/reactor_web/javascript/lane.js";
import { Sharing } from "../../web/reactor_web/javascript/sharing.js";

const [what, ...seeds] = process.argv.slice(2);
const SPEED = 40;

/** Time passes so much faster. */
const clock = {
  now: () => performance.now() * SPEED,
  setTimeout: (call, ms) => setTimeout(call, ms / SPEED),
  clearTimeout: (timer) => clearTimeout(timer),
};

const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Numbers below 1, the same for the same seed. */
function numbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A log of all runs, and the two routes that are asked: late, cut, and in pieces, as the numbers will. */
class Log {
  events = [];
  last = {};
  streams = new Set();

  constructor(random) {
    this.random = random;
  }

  say(run, type = "step.made") {
    const seq = (this.last[run] = (this.last[run] ?? 0) + 1);
    this.events.push({ seq, run_id: run, type, time: "", data: {} });
    for (const stream of this.streams) this.#send(stream);
  }

  cut() {
    for (const { controller } of this.streams) controller.error(new TypeError("cut"));
    this.streams.clear();
  }

  fetch = async (url, { signal }) => {
    await rest(this.random() * 4);
    signal?.throwIfAborted();
    if (this.random() < 0.1) throw new TypeError("no network");
    if (this.random() < 0.05) return new Response("busy", { status: 503 });
    const { pathname, searchParams: query } = new URL(url);
    return query.has("runs") ? this.#stream(query, signal) : this.#page(pathname.split("/")[4], query);
  };

  #page(run, query) {
    const found = this.events.filter((event) => event.run_id === run && event.seq > Number(query.get("after")));
    if (!this.last[run]) return Response.json({ detail: `there is no run ${run}` }, { status: 404 });
    const most = Math.min(Number(query.get("limit")), 1 + Math.floor(this.random() * 8));
    const events = found.slice(0, most);
    return Response.json({ events, ended: events.length === found.length && this.events.some(
      (event) => event.run_id === run && event.type === "run.completed"), cursor: 0 });
  }

  #stream(query, signal) {
    const stream = { runs: query.get("runs").split(","), at: Number(query.get("after")) };
    signal?.addEventListener("abort", () => this.streams.delete(stream));
    const body = new ReadableStream({
      start: (controller) => {
        stream.controller = controller;
        this.streams.add(stream);
        controller.enqueue(new TextEncoder().encode(":\n"));
        this.#send(stream);
      },
      cancel: () => this.streams.delete(stream),
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }

  #send(stream) {
    let text = "";
    for (; stream.at < this.events.length; stream.at++) {
      const event = this.events[stream.at];
      if (!stream.runs.includes(event.run_id)) continue;
      text += `id: ${stream.at + 1}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
    }
    const bytes = new TextEncoder().encode(text);
    const middle = Math.floor(this.random() * bytes.length);
    for (const part of [bytes.subarray(0, middle), bytes.subarray(middle)]) if (part.length) stream.controller.enqueue(part);
  }
}

const isWhole = (seqs, last) => seqs.length === last && seqs.every((seq, i) => seq === i + 1);

/** Waits until it is true, for at most ten seconds. */
async function until(isTrue) {
  for (const end = Date.now() + 10_000; Date.now() < end && !isTrue(); ) await rest(2);
  return isTrue();
}

/** A lane gets some events, some twice, some late, some never. */
async function lane(seed) {
  const random = numbers(seed);
  const log = new Log(random);
  const seen = [];
  const options = { fetch: log.fetch, clock, random, onEvent: ({ seq }) => seen.push(seq) };
  const stream = new Stream("http://log/api/v1/runs/r", options);
  const lane = new Lane("r", stream);
  stream.attach({ reconnect() {}, close: () => lane.close() });
  const report = (runs) => ({ id: "one", runs, isFresh: false, left: [], status: "live" });
  for (let i = 0; i < 120; i++) {
    if (i === 110) {
      lane.hear(report({ r: 110 }));
      await until(() => stream.lastSeq === 110);
      await rest(50); // it has read until nothing more was there
    }
    log.say("r", i === 119 ? "run.completed" : undefined);
    if (i === 5) lane.hear(report({ r: 0 }));
    for (let many = i < 110 ? Math.floor(random() * 3) : 0; many; many--) {
      const event = log.events[Math.max(0, i - Math.floor(random() ** 3 * 20))];
      lane.push(event.seq, JSON.stringify(event));
    }
    if (random() < 0.3) await rest(random() * 3);
  }
  lane.hear(report({ r: 120 })); // the last messages are among those that were lost
  return { whole: await until(() => stream.status === "ended") && isWhole(seen, 120) };
}

/** One page, some runs: they come and go while the network does. */
async function all(seed) {
  const random = numbers(seed);
  const log = new Log(random);
  const seen = {};
  const onEvent = ({ seq }, run) => (seen[run] ??= []).push(seq);
  const many = followAll("http://log/api/v1", ["a", "b"], { fetch: log.fetch, clock, random, onEvent });
  const runs = ["a", "b", "c", "d", "e"];
  for (let i = 0; i < 12; i++) log.say("quiet");
  let removed;
  for (let i = 0; i < 150; i++) {
    log.say(runs[Math.floor(random() * 5)]);
    if (i % 40 === 20) many.add(runs[2 + Math.floor(i / 40)] ?? "a");
    if (i === 100) many.add("quiet");
    if (i === 110) {
      many.remove("b");
      removed = seen.b?.length ?? 0;
    }
    if (random() < 0.05) log.cut();
    await rest(random() * 2);
  }
  const quiet = await until(() => isWhole(seen.quiet ?? [], 12));
  log.say("quiet", "run.completed");
  const kept = ["a", "c", "d", "e", "quiet"];
  for (const run of runs) log.say(run, "run.completed");
  const states = await Promise.race([many.done, rest(10_000)]);
  return {
    quiet,
    whole: Boolean(states) && kept.every((run) => isWhole(seen[run], log.last[run]) && states[run].seq === log.last[run]),
    removed: (seen.b?.length ?? 0) === removed && isWhole(seen.b ?? [], removed),
    none_left: await until(() => log.streams.size === 0),
  };
}

/** Tabs come and die, some without a word; whoever leads is among the dead. */
async function tabs(seed) {
  const random = numbers(seed);
  const log = new Log(random);
  const living = new Set();
  const name = `tabs ${seed}`;
  const start = (run) => {
    const seen = [];
    const options = { fetch: log.fetch, clock, random, awaitRun: Infinity };
    const stream = new Stream(`http://log/api/v1/runs/${run}`, { ...options, onEvent: ({ seq }) => seen.push(seq) });
    const sharing = new Sharing(name, "http://log/api/v1", options, { beat: 400, clock });
    const lane = new Lane(run, stream);
    stream.attach({ reconnect() {}, close: () => { lane.close(); sharing.remove(lane); } });
    sharing.add(lane);
    living.add({ run, seen, stream, sharing, lane });
  };
  const kill = (tab, says) => {
    living.delete(tab);
    tab.lane.close();
    if (says) return tab.sharing.close();
    clock.clearTimeout(tab.sharing.election.timer);
    tab.sharing.election.channel.onmessage = null;
    tab.sharing.election.party.turn(false); // the system closes its connection
    tab.sharing.election.channel.close();
  };
  const leaders = () => [...living].filter(({ sharing }) => sharing.election.leads);
  for (let i = 0; i < 9; i++) log.say("quiet");
  for (let i = 0; i < 120; i++) {
    if (living.size < 6 && random() < 0.25) start(["a", "b", "quiet"][Math.floor(random() * 3)]);
    const victim = random() < 0.5 ? leaders()[0] : [...living][Math.floor(random() * living.size)];
    if (victim && living.size > 2 && random() < 0.12) kill(victim, random() < 0.5);
    if (random() < 0.05) log.cut();
    log.say(random() < 0.5 ? "a" : "b");
    await rest(random() * 8);
  }
  const result = {
    whole: await until(() => [...living].every(({ run, seen }) => isWhole(seen, log.last[run]))),
    one_leader: await until(() => leaders().length === 1 && log.streams.size === 1),
  };
  for (const tab of [...living]) kill(tab, true);
  result.none_left = await until(() => log.streams.size === 0);
  return result;
}

const laws = { lane, all, tabs };
const found = await Promise.all(seeds.map((seed) => laws[what](Number(seed))));
for (const result of found) console.log(JSON.stringify(result));
process.exit(0);
