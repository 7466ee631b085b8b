// Follows a run with the client: `node follow.mjs URL OPTIONS`. Prints a line for each event, status, gap and error, and
// at the end what the stream shows. Options: `speed`, how much faster than the clock the time of the client runs; `slow`,
// after how many events a loop over the stream stops until a line comes on stdin; `throws`, `tickets`, `hangs`: a handler
// that throws, tickets t1, t2 …, a token that never comes the first time. The others are those of `follow`.
import { createInterface } from "node:readline";
import { canonical } from "./canonical.mjs";
import { follow } from "../../web/reactor_web/javascript/follow.js";
import { stringify } from "../../web/reactor_web/javascript/json.js";

const [url, given = "{}"] = process.argv.slice(2);
const { speed = 1, slow, throws, tickets, hangs, ...options } = JSON.parse(given);
const show = (value) => console.log(stringify(value));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let asked = 0;
let tickets_given = 0;

/** The first one never comes. */
const hanging = () => (asked++ ? "late" : new Promise(() => {}));

const stream = follow(url, {
  ...options,
  ticket: tickets ? () => `t${++tickets_given}` : undefined,
  token: hangs ? hanging : options.token ? ({ refresh }) => options.token[Math.min(asked += refresh, options.token.length - 1)] : undefined,
  clock: {
    now: () => performance.now() * speed,
    setTimeout: (call, ms) => setTimeout(call, ms / speed),
    clearTimeout: (timer) => clearTimeout(timer),
  },
  onStatus: (status) => show({ status }),
  onGap: (gap) => show({ gap }),
  onError: (error) => show({ error: error.message, code: error.status ?? null }),
  onEvent: slow ? undefined : (event) => {
    show({ event });
    if (throws) throw new Error("a handler");
  },
});
if (slow) {
  let count = 0;
  for await (const event of stream) {
    show({ event });
    count += 1;
    if (count === slow) await lines.next();
  }
}
const state = await stream.done.catch(() => undefined);
const chunks = Object.fromEntries(Object.entries(stream.chunks).map(([task, { text }]) => [task, text]));
show({ end: stream.status, state: state && canonical(state), chunks, last: stream.lastSeq });
lines.return();
process.stdin.destroy();
