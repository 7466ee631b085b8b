// Tabs of one browser in a simulated world, with what the browser does to them.
import { Stream } from "../../web/reactor_web/javascript/follow.js";
import { Lane } from "../../web/reactor_web/javascript/lane.js";
import { Sharing } from "../../web/reactor_web/javascript/sharing.js";
import { Thread } from "./simulated.mjs";

export const BASE = "http://log/api/v1";
const BEAT = 400;
/** What tabs follow: the first says nothing after its first events, the next say little, the others much. */
export const RUNS = ["quiet", "c", "d", "e", "a", "b"];

export const isWhole = (seqs, last) => seqs.length === last && seqs.every((seq, i) => seq === i + 1);

export const pick = (random, list) => list[Math.floor(random() * list.length)];

/** What this thread gives to all that it makes. */
export function optionsOf(log, thread) {
  return { fetch: log.fetchOf(thread), clock: thread.clock, random: thread.random, awaitRun: Infinity };
}

/** A page, or the worker of all pages, with what `Shared` and `shared_worker.js` do. */
class Tab {
  /** What is followed here: each run, its lane, and what was seen. */
  followed = [];
  position = "0";
  sharing;

  constructor(browser) {
    this.browser = browser;
    this.thread = new Thread(browser.world);
    this.options = optionsOf(browser.log, this.thread);
  }

  start(how = {}) {
    const { name } = this.browser;
    const id = `${how.id ?? ""}${this.browser.world.random().toString(36)}`;
    const options = { beat: BEAT, clock: this.thread.clock, ...how, id };
    this.sharing = this.thread.make(() => new Sharing(name, BASE, this.options, options));
    this.sharing.position = this.position;
    for (const { lane } of this.followed) this.sharing.add(lane);
  }

  /** As when it is frozen or put away. */
  stop() {
    this.position = this.sharing.position;
    this.sharing.close();
    this.sharing = undefined;
  }

  follow(run) {
    const seen = [];
    const onEvent = ({ seq }) => {
      seen.push(seq);
      this.browser.trace.push([run, seq]);
    };
    const onGap = () => (seen.length = 0);
    const stream = new Stream(`${BASE}/runs/${run}`, { ...this.options, onEvent, onGap });
    const lane = new Lane(run, stream);
    const followed = { run, seen, stream, lane };
    stream.attach({
      reconnect() {},
      close: () => {
        lane.close();
        this.sharing?.remove(lane);
      },
    });
    this.followed.push(followed);
    this.sharing?.add(lane);
  }

  unfollow() {
    this.followed.shift().stream.close();
  }

  /** Without a word: the system closes its connections. */
  die() {
    this.thread.isDead = true;
    this.browser.log.cut(this.thread);
  }
}

/** Tabs come and go, and what the browser does to them. */
export class Browser {
  trace = [];
  tabs = new Set();
  worker;

  constructor(world, log, hasWorker) {
    this.world = world;
    this.random = world.random;
    this.log = log;
    this.hasWorker = hasWorker;
    this.name = "tabs";
  }

  open(run = this.run()) {
    const tab = new Tab(this);
    this.#start(tab);
    tab.follow(run);
    this.tabs.add(tab);
    return tab;
  }

  run() {
    return pick(this.random, RUNS);
  }

  #start(tab) {
    if (!this.hasWorker) return tab.start();
    if (!this.worker) {
      this.worker = new Tab(this);
      this.worker.start({ id: "!", isLater: true });
    }
    const { worker } = this;
    worker.thread.clock.setTimeout(() => worker.sharing.election.lead(), this.random() * 50);
    tab.start({ isLater: true });
  }

  leaders() {
    return [this.worker, ...this.tabs].filter((tab) => tab?.sharing?.election.leads);
  }

  close(tab, says) {
    this.tabs.delete(tab);
    if (!says) return tab.die();
    for (const { stream } of tab.followed) stream.close();
    if (tab.sharing) tab.stop();
    tab.die();
  }

  crashWorker() {
    this.worker?.die();
    this.worker = undefined;
  }

  thaw(tab) {
    if (!tab.sharing) this.#start(tab);
  }

  /** Something that may happen to a tab; whoever leads is hit more often. */
  disturb() {
    const { random } = this;
    const tabs = [...this.tabs];
    const leader = this.leaders().find((tab) => tab !== this.worker);
    const tab = (random() < 0.5 && leader) || pick(random, tabs);
    if (tabs.length < 6 && random() < 0.25) this.open();
    if (!tab) return;
    const chance = random();
    if (chance < 0.1 && tabs.length > 2) this.close(tab, random() < 0.5);
    else if (chance < 0.25) tab.sharing ? tab.stop() : this.thaw(tab);
    else if (chance < 0.35) tab.thread.work(random() * 1500);
    else if (chance < 0.4) tab.follow(this.run());
    else if (chance < 0.45 && tab.followed.length > 1) tab.unfollow();
    else if (chance < 0.47) this.crashWorker();
    if (random() < 0.05) this.log.cut();
  }

  /** Whether each tab that is not put away has every event of its runs, once and in order. */
  isWhole() {
    return this.followed().every(({ run, seen }) => isWhole(seen, this.log.last[run] ?? 0));
  }

  until = () => this.world.until(() => this.isWhole());

  followed() {
    return [...this.tabs].flatMap((tab) => (tab.sharing ? tab.followed : []));
  }
}
