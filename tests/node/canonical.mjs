// The exact form of a state, as `tests/helpers/canonical.py` makes it of the server's: money in units of 1e-12,
// durations in microseconds, progress in millionths.
import { progress } from "../../web/reactor_web/javascript/fold.js";

const micro = (ms) => (ms === undefined ? undefined : Math.round(ms * 1000));
const each = (members, change) =>
  members && Object.fromEntries(Object.entries(members).map(([id, member]) => [id, change(member)]));

/** The fold keeps the exact sum beside the number that it shows, from the first spending after a snapshot on. */
function exact({ cost, ...rest }) {
  if (cost === undefined) return rest;
  const symbol = Object.getOwnPropertySymbols(rest).find(({ description }) => description === "cost");
  const units = symbol && rest[symbol];
  return { ...rest, shown_cost: cost, cost: units ?? unitsOf(cost) };
}

function unitsOf(number) {
  const [mantissa, exponent = "0"] = String(number).split("e");
  const [whole, part = ""] = mantissa.split(".");
  const zeros = 12 + Number(exponent) - part.length;
  return BigInt(zeros < 0 ? (whole + part).slice(0, zeros) || "0" : whole + part + "0".repeat(zeros));
}

export function canonical(state) {
  const { paused_ms, downtime_ms, ...shown } = exact(state);
  return {
    ...shown,
    paused_us: micro(paused_ms),
    downtime_us: micro(downtime_ms),
    progress: Math.round(progress(state) * 1e6),
    tasks: each(state.tasks, exact),
    children: each(state.children, exact),
  };
}
