// Every verb of `Reactor` against a server with the workflows `asking` and `flaky`: `node api.mjs URL`. Prints [law, true] for
// each that holds, [law, why] for each that does not, and at the end each request as [method, path, key].
import assert from "node:assert/strict";
import { Reactor, ReactorError, RemoteRun } from "../../web/reactor_web/javascript/reactor.js";

const base = process.argv[2];
const asked = [];

function noted(url, init) {
  const path = url.slice(base.length).split("?")[0];
  asked.push([init.method ?? "GET", path, init.headers["Idempotency-Key"] ?? null]);
  return fetch(url, init);
}

const api = new Reactor(`${base}/`, { fetch: noted });

/** Until this was told of a run. */
async function until(run, type) {
  const stream = run.follow();
  for await (const event of stream) {
    if (event.type === type) stream.close();
    else assert.ok(!/^run\.(completed|failed|cancelled)$/.test(event.type), `${event.type} before ${type}`);
  }
}

async function ended(run) {
  return (await run.follow().done).status;
}

const refused = (status, sentence) => (error) => {
  assert.ok(error instanceof ReactorError, error);
  assert.equal(error.status, status);
  assert.match(error.message, sentence);
  assert.equal(error.problem.status, status);
  return true;
};

const LAWS = {
  async "start, get, pause, resume, send, outputs and output"() {
    const run = await api.start("asking", { who: "you" }, { id: "r1", meta: { a: 1 } });
    assert.ok(run instanceof RemoteRun);
    assert.equal(run.url, `${base}/runs/r1`);
    await until(run, "task.waiting");
    const state = await api.get("r1");
    assert.deepEqual([state.run_id, state.status, state.input, state.meta], ["r1", "running", { who: "you" }, { a: 1 }]);
    assert.equal(await run.outputs(), undefined);
    await run.pause({ reason: "lunch" });
    assert.deepEqual([(await run.get()).status, (await run.get()).reason], ["paused", "lunch"]);
    await run.resume();
    assert.equal((await run.get()).status, "running");
    await run.send("ask", true, { key: "sure" });
    assert.equal(await ended(run), "completed");
    assert.deepEqual(await run.outputs(), { ask: ["you", true] });
    assert.deepEqual(await run.output("ask"), ["you", true]);
  },

  async "the same start again is the same run, another one under its id is refused"() {
    const again = await api.start("asking", { who: "you" }, { id: "r1", meta: { a: 1 } });
    assert.equal(again.id, "r1");
    await assert.rejects(api.start("asking", { who: "me" }, { id: "r1" }), refused(409, /r1/));
  },

  async "cancel, of a task and of all"() {
    const run = await api.start("asking", { who: "you" });
    await until(run, "task.waiting");
    await run.cancel({ reason: "enough" });
    assert.equal(await ended(run), "cancelled");
    const state = await run.get();
    assert.deepEqual([state.status, state.reason], ["cancelled", "enough"]);
    await assert.rejects(run.cancel(), refused(409, /./));
  },

  async "retry takes over what completed"() {
    const run = await api.start("flaky");
    assert.equal(await ended(run), "failed");
    const second = await run.retry({ id: "second" });
    assert.deepEqual([second.id, second.url], ["second", `${base}/runs/second`]);
    assert.equal(await ended(second), "completed");
    const third = await second.retry({ id: "third", from: "fail" });
    assert.equal(await ended(third), "completed");
    await assert.rejects(second.retry({ from: "fial" }), refused(404, /did you mean 'fail'/));
  },

  async "schedules: put, list, pause, resume, trigger and remove"() {
    const yearly = api.schedule("yearly");
    const rule = { workflow: "asking", cron: "0 0 1 1 *", tz: "Europe/Berlin", input: { who: "you" } };
    const made = await yearly.put(rule);
    assert.deepEqual([made.name, made.cron, made.overlap, made.paused], ["yearly", rule.cron, "skip", null]);
    assert.deepEqual(await yearly.get(), made);
    await api.schedule("hourly").put({ workflow: "flaky", every: 3600 });
    const { schedules, cursor } = await api.schedules({ limit: 1 });
    assert.deepEqual([schedules.map(({ name }) => name), cursor], [["hourly"], "hourly"]);
    assert.deepEqual((await api.schedules({ cursor })).schedules, [made]);
    assert.notEqual((await yearly.pause()).paused, null);
    const run = await yearly.trigger();
    assert.match(run.id, /^yearly~/);
    assert.deepEqual((await run.get()).input, { who: "you" });
    await run.cancel();
    assert.equal((await yearly.resume()).paused, null);
    assert.equal((await yearly.put({ ...rule, tz: "UTC" })).tz, "UTC");
    await yearly.remove();
    await assert.rejects(yearly.get(), refused(404, /yearly/));
    await assert.rejects(api.schedule("a b").put(rule), refused(422, /./));
  },

  async "session, emit and end"() {
    const run = await api.session("s1", { meta: { from: "test" } });
    await run.emit("step.made", { count: 2n ** 60n });
    await run.end({ outputs: { sum: 3 } });
    const seen = [];
    for await (const { type, data } of run.follow()) seen.push([type, data.count]);
    assert.deepEqual(seen, [["run.started", undefined], ["step.made", 2n ** 60n], ["run.completed", undefined]]);
  },

  async "list and workflows"() {
    const ids = [];
    for (let cursor; cursor !== null; ) {
      const page = await api.list({ workflow: "flaky", limit: 1, cursor });
      ids.push(...page.runs.map(({ run_id: id }) => id));
      cursor = page.cursor;
    }
    assert.deepEqual([ids.length, ids[0]], [3, "third"]); // the newest first
    assert.deepEqual((await api.list({ status: "paused" })).runs, []);
    const names = (await api.workflows()).workflows.map(({ name }) => name);
    assert.deepEqual(names.sort(), ["asking", "flaky"]);
  },

  async "delete"() {
    await api.run("r1").delete();
    await assert.rejects(api.get("r1"), refused(404, /r1/));
  },

  async "what cannot be is refused before a request"() {
    const before = asked.length;
    for (const id of ["..", ".", "", "a/b", "a\n", "x".repeat(65), Promise.resolve("r1"), undefined, null, 5]) {
      assert.throws(() => api.run(id), /^TypeError: .* is not a valid run id: 1 to 64 of A-Z/);
      if (id === undefined) continue; // then it is a random one
      await assert.rejects(api.start("asking", { who: "you" }, { id }), /is not a valid run id/);
      await assert.rejects(api.startPlan([], { id }), /is not a valid run id/);
      await assert.rejects(api.session(id), /is not a valid run id/);
      await assert.rejects(api.run("second").retry({ id }), /is not a valid run id/);
    }
    await assert.rejects(api.start("asking", { who: "you" }, { runId: "a" }), /TypeError: there is no option runId/);
    await assert.rejects(api.startPlan([], { run_id: "a" }), /there is no option run_id/);
    await assert.rejects(api.session("s", { budgt: {} }), /there is no option budgt/);
    await assert.rejects(api.run("second").retry({ newId: "a" }), /there is no option newId/);
    assert.equal(asked.length, before);
  },

  async "of a server alone, the routes are under /api/v1"() {
    const { origin } = new URL(base);
    for (const url of [origin, `${origin}/`, base, `${base}/`]) assert.equal(new Reactor(url).base, `${origin}/api/v1`);
    assert.equal(new Reactor(`${origin}/x/`).base, `${origin}/x`);
  },

  async "what is wrong is refused with the sentence of the server"() {
    await assert.rejects(api.start("nothing"), refused(404, /nothing/));
    await assert.rejects(api.start("asking", 3), refused(422, /./));
    await assert.rejects(api.run("none").pause(), refused(404, /none/));
    await assert.rejects(api.run("second").pause(), refused(409, /./));
    await assert.rejects(api.run("second").send("first", 1), refused(409, /./));
    await assert.rejects(api.startPlan([{ id: "a", tool: "no tool" }]), refused(422, /./));
    await assert.rejects(api.list({ status: "odd" }), refused(400, /odd/));
  },
};

const show = (...line) => console.log(JSON.stringify(line));
for (const [law, hold] of Object.entries(LAWS)) show(law, await hold().then(() => true, (error) => error.stack));
show("asked", asked);
