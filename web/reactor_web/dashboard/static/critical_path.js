// The critical path of a run: the chain of tasks of which each began when the one before it ended, and the last of which
// ended the run. Only these, done faster, would have made the run faster.
import { timeOf } from "./format.js";

/**
 * The ids of the tasks on it, the first one first; empty while the run is open.
 * @param {{tasks: Record<string, any>}} state
 * @param {{id: string, depends_on?: string[]}[]} graph
 */
export function criticalPath(state, graph) {
  const upstreams = new Map(graph.map(({ id, depends_on = [] }) => [id, depends_on]));
  const path = [];
  const seen = new Set();
  let last = latest([...upstreams.keys()], state);
  while (last !== undefined && !seen.has(last)) {
    seen.add(last);
    path.unshift(last);
    last = latest(upstreams.get(last) ?? [], state);
  }
  return path;
}

/** Of these the one that ended last, if it has run at all. */
function latest(ids, { tasks }) {
  let found;
  let end = -Infinity;
  for (const id of ids) {
    const task = tasks[id];
    const at = task?.started && task.ended ? timeOf(task.ended) : NaN;
    if (at > end) [found, end] = [id, at];
  }
  return found;
}
