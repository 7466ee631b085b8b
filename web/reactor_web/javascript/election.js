// Who of those on a channel keeps the connection. No vote must be right: with two leaders for a moment everything
// comes twice, and whoever has it already drops it. Members answer when they are asked and not by a clock of their
// own, because browsers slow down the timers of hidden tabs.

const MISSED = 3;
const FIRST_WORD_MS = 150;

/** Letters that no other tab has. */
export const newId = () =>
  [...crypto.getRandomValues(new Uint32Array(3))].map((part) => part.toString(36)).join("");

/**
 * @typedef {{id: string, t: "who" | "lead" | "here" | "bye" | "say", next?: string, body?: any}} Message
 * @typedef {{setTimeout(call: () => void, ms: number): any, clearTimeout(timer: any): void}} Clock
 * @typedef {object} Party  what it is all about: those who use this module
 * @property {() => any} report  goes with each word of a leader
 * @property {() => any} present  goes with each answer of a member
 * @property {(leads: boolean) => void} turn  it leads now, or no longer
 * @property {() => void} joined  a member has come, gone or changed
 * @property {(body: any) => void} heard  what a leader reports
 * @property {(body: any) => void} said  what was given to `say`
 */

export class Election {
  leads = false;
  /** @type {Map<string, {body: any, missed: number}>} those that a leader has heard of */
  members = new Map();
  #silence = 0;

  /**
   * @param {BroadcastChannel} channel
   * @param {Party} party
   * @param {{id?: string, beat?: number, isLater?: boolean, clock?: Clock}} [options]
   *   `isLater`: somebody else should lead, and has three beats to say so. The lowest id wins.
   */
  constructor(channel, party, { id = newId(), beat = 2000, isLater = false, clock = globalThis } = {}) {
    this.id = id;
    this.channel = channel;
    this.party = party;
    this.beat = beat;
    this.clock = clock;
    if (!isLater) this.#silence = MISSED;
    channel.onmessage = ({ data }) => this.#hear(data);
    this.ask();
    this.#tick(isLater ? beat : Math.min(beat, FIRST_WORD_MS));
  }

  /** A leader asks all members whether they are there, and reports. */
  roll() {
    if (this.leads) this.#send("lead", { body: this.party.report() });
  }

  /** Tells the leader what is wanted here, and asks for its report unless it `isKnown`. */
  ask(isKnown = false) {
    if (this.leads) this.party.joined();
    else this.#send(isKnown ? "here" : "who", { body: this.party.present() });
  }

  /** @param {any} body to all the others */
  say(body) {
    this.#send("say", { body });
  }

  lead() {
    if (this.leads) return;
    this.leads = true;
    this.party.turn(true);
    this.roll();
  }

  /** Leaves; a leader names the next one. */
  close() {
    this.clock.clearTimeout(this.timer);
    this.#send("bye", { next: this.members.keys().next().value });
    this.channel.onmessage = null;
    this.channel.close();
    this.#follow();
  }

  /** @param {Message["t"]} t @param {Partial<Message>} [more] */
  #send(t, more) {
    this.channel.postMessage({ t, id: this.id, ...more });
  }

  /** @param {number} ms */
  #tick(ms) {
    this.timer = this.clock.setTimeout(() => {
      this.#tick(this.beat);
      if (this.leads) {
        for (const [id, member] of this.members) if (++member.missed > MISSED) this.#lose(id);
        this.roll();
      } else if (++this.#silence > MISSED) this.lead();
      else this.ask();
    }, ms);
  }

  #follow() {
    if (!this.leads) return;
    this.leads = false;
    this.members.clear();
    this.party.turn(false);
  }

  /** @param {string} id */
  #lose(id) {
    if (this.members.delete(id)) this.party.joined();
  }

  /** @param {Message} message */
  #hear({ t, id, body, next }) {
    if (t === "say") this.party.said(body);
    else if (t === "lead") {
      if (this.leads && id > this.id) return this.roll();
      this.#follow();
      this.#silence = 0;
      this.ask(true);
      this.party.heard(body);
    } else if (t === "bye") {
      this.#lose(id);
      if (next === this.id) this.lead();
    } else if (this.leads) {
      this.members.set(id, { body, missed: 0 });
      this.party.joined();
      if (t === "who") this.roll();
    }
  }
}
