// The tabs of one principal at one server: one of them, or the worker, keeps the connection and tells the others.
import { Election } from "./election.js";
import { Hub } from "./hub.js";

const SETTLE_MS = 50;

export class Sharing {
  /** @type {Set<import("./lane.js").Lane>} */
  lanes = new Set();
  /** The last position that was heard of: another leader goes on from there. */
  position = "0";
  /** @type {Hub | undefined} */
  #hub;

  /** @param {string} name of the channel @param {string} base @param {any} options @param {any} [how] to elect */
  constructor(name, base, options, how) {
    this.election = new Election(new BroadcastChannel(name), {
      report: () => this.#hub?.report(),
      present: () => ({ runs: this.#runs(), position: this.position }),
      joined: () => this.#want(),
      turn: (leads) => {
        this.#hub?.close();
        this.#hub = leads ? this.#open(base, options) : undefined;
        this.#want();
      },
      heard: (report) => this.#each((lane) => lane.hear(report)),
      said: (said) => this.#said(said),
    }, how);
  }

  /** @param {import("./lane.js").Lane} lane */
  add(lane) {
    this.lanes.add(lane);
    lane.forget();
    this.election.ask();
    if (this.#hub) lane.hear(this.#hub.report());
  }

  /** @param {import("./lane.js").Lane} lane */
  remove(lane) {
    if (this.lanes.delete(lane)) this.election.ask(true);
  }

  close() {
    this.election.close();
  }

  reconnect() {
    this.#hub?.reconnect();
    this.election.say({ reconnect: true });
  }

  #runs() {
    return [...this.lanes].map((lane) => lane.run);
  }

  /** @param {(lane: import("./lane.js").Lane) => void} call */
  #each(call) {
    [...this.lanes].forEach(call);
  }

  /** @param {string} base @param {any} options */
  #open(base, options) {
    /** @param {any} said */
    const say = (said) => {
      this.election.say(said);
      this.#said(said);
    };
    const hub = new Hub(base, options, {
      events: (events, position) => say({ events, position }),
      changed: () => {
        this.election.roll();
        this.#each((lane) => lane.hear(hub.report()));
      },
    }, SETTLE_MS);
    hub.position = this.position;
    return hub;
  }

  #want() {
    if (!this.#hub) return;
    const members = [...this.election.members.values()].map(({ body }) => body);
    const heard = members.find(({ position }) => position !== "0");
    if (heard) this.#hub.moveTo(heard.position); // the hub of a worker that is new, or of a tab
    this.#hub.want([...this.#runs(), ...members.flatMap(({ runs }) => runs)]);
  }

  /** @param {{events?: import("./hub.js").Sent[], position?: string, reconnect?: true}} said */
  #said({ events = [], position, reconnect }) {
    if (position) this.position = position;
    if (reconnect) this.#hub?.reconnect();
    for (const [run, seq, data] of events) this.#each((lane) => lane.run === run && lane.push(seq, data));
  }
}
