// Folds runs with the client: each line of stdin is `{"run_id", "events": [text, …]}`, or `{"state", "events"}`,
// which goes on from a snapshot, or has its `parts` in place of `state`. Prints, for each line, the canonical state after each event, and what is shown at
// last. Fails where the fold changes an event, or a task or child run in place, or replaces a task that an event is
// not about.
import { createInterface } from "node:readline";
import { addSnapshot, evolve, initialState } from "../../web/reactor_web/javascript/fold.js";
import { parse, stringify } from "../../web/reactor_web/javascript/json.js";
import { canonical } from "./canonical.mjs";

function freeze(value) {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) freeze(member);
  return value;
}

function step(state, text) {
  const event = freeze(parse(text));
  const before = { ...state.tasks };
  Object.values(before).forEach(freeze);
  Object.values(state.children ?? {}).forEach(freeze);
  evolve(state, event);
  for (const id in before) {
    const isOfMany = event.type === "run.resumed" || event.type === "run.upgraded";
    const isMeant = id === event.task_id || id === event.task || isOfMany;
    if (state.tasks[id] !== before[id] && !isMeant) throw new Error(`${event.type} replaced ${id}`);
  }
  return stringify(canonical(state));
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const given = parse(line);
  const parts = given.parts ?? (given.state ? [given.state] : []);
  const state = parts.length ? parts.reduce(addSnapshot, undefined) : initialState(given.run_id);
  canonical(state); // whoever looks at a state before its events changes nothing
  const states = given.events.map((text) => step(state, text));
  console.log(`{"states":[${states.join(",")}],"shown":${stringify(state)}}`);
}
