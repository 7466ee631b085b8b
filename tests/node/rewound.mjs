// A run whose log loses its end, by `follow` and by `followAll`: `node rewound.mjs BASE RUN`. A line of JSON for each
// text that is said and for each gap, with who was told; at the end the last seq of each state.
import { follow } from "../../web/reactor_web/javascript/follow.js";
import { followAll } from "../../web/reactor_web/javascript/follow_all.js";

const [base, run] = process.argv.slice(2);
const show = (...told) => console.log(JSON.stringify(told));
const told = (way) => ({
  onEvent: ({ type, data }) => type === "thing.said" && show(way, data.text),
  onGap: ({ reason }) => show(way, reason),
});
const one = follow(`${base}/runs/${run}`, told("one"));
const all = followAll(base, [run], told("all"));
const [state, states] = await Promise.all([one.done, all.done]);
show("end", state.seq, states[run].seq);
