// Several runs on one connection, without a browser: `node several_runs.mjs LAW SEED…`. For each seed a line of
// JSON with what must be true of it, and in `trace` a digest of all that was told, in order.
import { createHash } from "node:crypto";

import { followAll } from "../../web/reactor_web/javascript/follow_all.js";
import { Stream } from "../../web/reactor_web/javascript/follow.js";
import { Lane } from "../../web/reactor_web/javascript/lane.js";
import { Log } from "./several_log.mjs";
import { BASE, Browser, RUNS, isWhole, optionsOf, pick } from "./several_tabs.mjs";
import { Thread, World } from "./simulated.mjs";

const [what, ...seeds] = process.argv.slice(2);
const PARTS = 4;
/** A lane gets some events, some twice, some late, some never. */
async function lane(world, log) {
  const { random } = world;
  const thread = new Thread(world);
  const seen = [];
  const stream = new Stream(`${BASE}/runs/r`, { ...optionsOf(log, thread), onEvent: ({ seq }) => seen.push(seq) });
  const lane = new Lane("r", stream);
  stream.attach({ reconnect() {}, close: () => lane.close() });
  const report = (runs) => ({ id: "one", runs, isFresh: false, left: [], status: "live" });
  for (let i = 0; i < 120; i++) {
    if (i === 110) {
      lane.hear(report({ r: 110 }));
      await world.until(() => stream.lastSeq === 110);
      await world.rest(2000); // it has read until nothing more was there
    }
    log.say("r", i === 119 ? "run.completed" : undefined);
    if (i === 5) lane.hear(report({ r: 0 }));
    for (let many = i < 110 ? Math.floor(random() * 3) : 0; many; many--) {
      const event = log.events[Math.max(0, i - Math.floor(random() ** 3 * 20))];
      lane.push(event.seq, JSON.stringify(event));
    }
    if (random() < 0.3) await world.rest(random() * 120);
  }
  lane.hear(report({ r: 120 })); // the last messages are among those that were lost
  return { whole: (await world.until(() => stream.status === "ended")) && isWhole(seen, 120), trace: seen };
}

const isLast = ({ run_id: run, seq }, log) => seq === log.last[run];

/** One page, some runs: they come and go while the network does. */
async function all(world, log) {
  const { random } = world;
  const seen = {};
  const trace = [];
  const onEvent = ({ seq }, run) => {
    (seen[run] ??= []).push(seq);
    trace.push([run, seq]);
  };
  const many = followAll(BASE, ["a", "b"], { ...optionsOf(log, new Thread(world)), onEvent });
  const runs = ["a", "b", "c", "d", "e"];
  for (let i = 0; i < 12; i++) log.say("quiet");
  let removed;
  for (let i = 0; i < 150; i++) {
    log.say(pick(random, runs));
    if (i % 40 === 20) many.add(runs[2 + Math.floor(i / 40)] ?? "a");
    if (i === 100) many.add("quiet");
    if (i === 110) {
      many.remove("b");
      removed = seen.b?.length ?? 0;
    }
    if (random() < 0.05) log.cut();
    await world.rest(random() * 80);
  }
  const quiet = await world.until(() => isWhole(seen.quiet ?? [], 12));
  many.remove("quiet");
  seen.quiet = [];
  many.add("quiet");
  const again = await world.until(() => isWhole(seen.quiet, 12));
  log.say("quiet", "run.completed");
  const kept = ["a", "c", "d", "e", "quiet"];
  for (const run of runs) log.say(run, "run.completed");
  let states;
  many.done.then((found) => (states = found));
  await world.until(() => states);
  return {
    quiet,
    again,
    whole: Boolean(states) && kept.every((run) => isWhole(seen[run], log.last[run]) && isLast(states[run], log)),
    removed: (seen.b?.length ?? 0) === removed && isWhole(seen.b ?? [], removed),
    none_left: await world.until(() => log.streams.size === 0),
    trace,
  };
}

/** A new worker begins at the start of the log, and only then hears from a busy tab how far others were. */
async function late(world, log) {
  const browser = new Browser(world, log, true);
  for (let i = 0; i < 9; i++) for (const run of ["quiet", "a"]) log.say(run);
  const first = browser.open("a");
  const before = await browser.until();
  browser.crashWorker();
  first.thread.work(50 + world.random() * 400);
  browser.open("quiet");
  return { before, whole: await browser.until(), trace: browser.trace };
}

/** A tab is put away, and back: meanwhile the connection was made anew, and its run was not on it all the time. */
async function back(world, log, seed) {
  const browser = new Browser(world, log, seed % 2 === 0);
  for (const run of ["c", "d", "e"]) log.say(run);
  const first = browser.open("c");
  const second = browser.open("c");
  const isGone = [() => first.unfollow(), () => first.follow("e"), () => log.say("c"), () => log.say("d")];
  const steps = [
    () => {},
    () => second.stop(),
    () => log.say("c"),
    () => first.follow("d"),
    ...(seed % 3 ? isGone : []),
    () => browser.open("c"),
    () => browser.thaw(second),
  ];
  const whole = [];
  for (const step of steps) {
    step();
    whole.push(await browser.until());
  }
  return { whole: whole.every(Boolean), trace: browser.trace };
}

/** Whether nobody asks for anything any more, once all that had failed was tried again. */
async function isQuiet(world, log) {
  await world.rest(60_000);
  const { asked } = log;
  await world.rest(20_000);
  return log.asked === asked;
}

/** The log loses all it had. Tabs that wait for a run then remember a position that is not there any more. */
async function emptied(world, log, seed) {
  const browser = new Browser(world, log, seed % 2 === 0);
  const tabs = [browser.open("a"), browser.open("a"), browser.open("a")];
  for (let i = 0; i < 5; i++) log.say("a");
  const before = await browser.until();
  for (const tab of tabs) tab.follow("later");
  for (const tab of tabs) tab.unfollow();
  await world.rest(10_000);
  log.lose(5);
  const quiet = await isQuiet(world, log);
  log.say("later");
  return { before, is_quiet: quiet, whole: await browser.until(), trace: browser.trace };
}

/** The log loses its end, and goes on otherwise: each run is told anew, from its first event on, to all. */
async function lost(world, log, seed) {
  const { random } = world;
  const browser = new Browser(world, log, seed % 2 === 0);
  const seen = {};
  const onGap = (gap, run) => (seen[run] = []);
  const onEvent = ({ seq }, run) => (seen[run] ??= []).push(seq);
  const many = followAll(BASE, ["a", "b"], { ...optionsOf(log, new Thread(world)), onEvent, onGap });
  for (const run of ["a", "b", "a", "not yet"]) browser.open(run);
  const areWhole = () => browser.isWhole() && ["a", "b"].every((run) => isWhole(seen[run] ?? [], log.last[run]));
  const whole = [];
  for (const lose of [0, 1 + Math.floor(random() * 15), 0]) {
    for (let i = lose ? 0 : 20; i; i--) log.say(["a", "b"][i % 3 % 2]);
    if (lose) log.lose(lose);
    whole.push(await world.until(areWhole));
  }
  const result = { whole: whole.every(Boolean), is_quiet: await isQuiet(world, log) };
  many.close();
  for (const tab of browser.tabs) browser.close(tab, true);
  browser.crashWorker();
  return { ...result, none_left: await world.until(() => log.streams.size === 0), trace: browser.trace };
}

/** Tabs come and go with and without a word, are busy and put away; whoever leads first of all. */
async function tabs(world, log, seed) {
  const { random } = world;
  const browser = new Browser(world, log, seed % 2 === 0);
  for (let i = 0; i < 9; i++) log.say("quiet");
  const whole = [];
  for (let part = 0; part < PARTS; part++) {
    for (let i = 0; i < 10; i++) {
      browser.disturb();
      log.say(random() < 0.5 ? "a" : "b");
      if (random() < 0.1) log.say(pick(random, ["c", "d", "e"]));
      await world.rest(random() * 320);
    }
    whole.push(await browser.until()); // what comes later would show that something is missing, and mend it
  }
  for (const tab of browser.tabs) browser.thaw(tab);
  whole.push(await browser.until());
  const oneLeader = await world.until(() => browser.leaders().length === 1 && log.streams.size === 1);
  for (const run of RUNS) log.say(run, "run.completed");
  const haveEnded = () => browser.followed().every(({ stream }) => stream.status === "ended");
  const ended = (await world.until(haveEnded)) && browser.isWhole();
  const noneWanted = await world.until(() => log.streams.size === 0);
  for (const tab of browser.tabs) browser.close(tab, true);
  browser.crashWorker();
  const result = { whole: whole.every(Boolean), one_leader: oneLeader, ended, none_wanted: noneWanted };
  return { ...result, none_left: log.streams.size === 0, trace: browser.trace };
}

const laws = { lane, all, lost, emptied, late, back, tabs };
const found = seeds.map(Number).map((seed) => {
  const world = new World(seed);
  return world.run(laws[what](world, new Log(world), seed));
});
for (const { trace, ...result } of await Promise.all(found)) {
  console.log(JSON.stringify({ ...result, trace: createHash("sha1").update(JSON.stringify(trace)).digest("hex") }));
}
process.exit(0);
