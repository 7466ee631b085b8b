// A world with a clock of its own, for code that takes time and channels from outside. One thing happens after the
// other, and what comes when is drawn from the seed: a seed that fails fails again, on any machine, however busy it is.

/** Rounds of the event loop in which all promises that wait for nothing else are kept. */
const ROUNDS = 2;

/** Numbers below 1, the same for the same seed. */
export function numbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export class World {
  now = 0;
  /** What will happen, the next first; what is due at the same time in the order in which it was planned. */
  #due = [];
  #count = 0;
  /** All open channels. */
  channels = new Set();

  constructor(seed) {
    this.random = numbers(seed);
  }

  plan(call, at, order = ++this.#count) {
    const entry = { call, at, order };
    let low = 0;
    for (let high = this.#due.length; low < high; ) {
      const middle = (low + high) >> 1;
      const { at: other, order: before } = this.#due[middle];
      if (other < at || (other === at && before < order)) low = middle + 1;
      else high = middle;
    }
    this.#due.splice(low, 0, entry);
    return entry;
  }

  cancel(entry) {
    const place = this.#due.indexOf(entry);
    if (place >= 0) this.#due.splice(place, 1);
  }

  rest = (ms) => new Promise((resolve) => this.plan(resolve, this.now + ms));

  /** Whether it becomes true within so much time of this world. */
  async until(isTrue, ms = 900_000) {
    for (const end = this.now + ms; this.now < end && !isTrue(); ) await this.rest(100);
    return isTrue();
  }

  /** Lets time pass until the work is done. */
  async run(work) {
    let isDone = false;
    const result = work.finally(() => (isDone = true));
    while (true) {
      for (let i = 0; i < ROUNDS; i++) await new Promise((resolve) => setImmediate(resolve));
      if (isDone) return result;
      const next = this.#due.shift();
      if (!next) throw new Error("the work waits for something that will never happen");
      this.now = next.at;
      next.call(next);
    }
  }
}

/** A page or a worker. While it is busy, all that comes to it waits; once it is dead, nothing comes. */
export class Thread {
  isDead = false;
  #busyUntil = 0;

  constructor(world) {
    this.world = world;
    this.clock = {
      now: () => world.now,
      setTimeout: (call, ms) => this.#plan(call, world.now + ms),
      clearTimeout: (timer) => timer && world.cancel(timer.entry),
    };
    this.random = world.random;
  }

  #plan(call, at) {
    const timer = {};
    const act = ({ order }) => {
      if (this.isDead) return;
      if (this.world.now < this.#busyUntil) timer.entry = this.world.plan(act, this.#busyUntil, order);
      else call();
    };
    timer.entry = this.world.plan(act, at);
    return timer;
  }

  work(ms) {
    this.#busyUntil = this.world.now + ms;
  }

  rest = (ms) => new Promise((resolve) => this.clock.setTimeout(resolve, ms));

  /** Things that come here one after the other, each a little later than it was sent. */
  line(most) {
    let last = 0;
    return (call) => {
      last = Math.max(last, this.world.now + this.random() ** 3 * most);
      this.#plan(call, last);
    };
  }

  /** While this makes something, `new BroadcastChannel` opens a channel of this thread. */
  make(call) {
    const { BroadcastChannel } = globalThis;
    const thread = this;
    globalThis.BroadcastChannel = function open(name) {
      return new Channel(thread, name);
    };
    try {
      return call();
    } finally {
      globalThis.BroadcastChannel = BroadcastChannel;
    }
  }
}

/** As a BroadcastChannel: what one says comes to each other one in this order, and to each at its own time. */
class Channel {
  onmessage = null;
  #lines = new Map();

  constructor(thread, name) {
    this.thread = thread;
    this.name = name;
    thread.world.channels.add(this);
  }

  postMessage(data) {
    const { channels } = this.thread.world;
    if (!channels.has(this)) throw new DOMException("the channel is closed", "InvalidStateError");
    const copy = structuredClone(data); // nobody changes what it hears, so one is enough
    for (const other of channels) {
      if (other === this || other.name !== this.name) continue;
      if (!this.#lines.has(other)) this.#lines.set(other, other.thread.line(30));
      this.#lines.get(other)(() => channels.has(other) && other.onmessage?.({ data: copy }));
    }
  }

  close() {
    this.thread.world.channels.delete(this);
  }
}
