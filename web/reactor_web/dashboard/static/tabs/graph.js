// The graph of a run, live; beside it the list of its tasks for the keyboard and for screen readers.
import { html, useAsked, useMemo } from "../ui.js";
import { Loading, Problem } from "../parts.js";
import { GraphView } from "../graph_view.js";
import { keyOf, layoutOf, shapeOf } from "../graph_layout.js";
import { criticalPath } from "../critical_path.js";
import { TaskList } from "../task_list.js";
import { graphOf } from "../live_run.js";
import { place } from "../route.js";
import { hasEnded } from "../status.js";

export function Graph({ run, state, history, selected, select }) {
  const tasks = graphOf({ started: history.started, about: run.about, state });
  const runs = childNodes(state);
  const shape = useMemo(() => shapeOf([...tasks, ...runs]), [tasks.length, runs.length, run.about, history.started]);
  const key = useMemo(() => keyOf(shape), [shape]);
  const { value: layout, error } = useAsked(() => layoutOf(shape, key), [key]);
  const isOver = hasEnded(state.status);
  const critical = useMemo(() => new Set(isOver ? criticalPath(state, tasks) : []), [isOver, state.seq, tasks]);
  const top = state.tasks[selected]?.task ?? selected;
  const pick = (id) => {
    const child = runs.find((one) => one.id === id);
    if (child) place.go(["runs", child.run_id]);
    else select(id);
  };
  return html`<div class="graph-tab">
    <${TaskList} tasks=${tasks} state=${state} selected=${selected} select=${select} critical=${critical} />
    <div class="graph-box">${error ? html`<${Problem} error=${error} />` : layout ? html`<${GraphView} layout=${layout} state=${withRuns(state, runs)} selected=${top} select=${pick} critical=${critical}
      label=${`Graph of ${tasks.length} tasks; the list beside it has the same`} />` : html`<${Loading} what="Laying out the graph" />`}
      ${critical.size > 1 && html`<p class="legend"><i class="thick" aria-hidden="true"></i>critical path</p>`}
    </div>
  </div>`;
}

/** Of a task that starts hundreds of runs, so many are nodes; its panel lists more. */
const MOST_OF_A_TASK = 12;

/** The runs that tasks have started, as nodes behind their tasks: a click opens them. */
export function childNodes(state) {
  const sums = {};
  const nodes = [];
  for (const [run_id, { task_id, workflow, status }] of Object.entries(state.children ?? {})) {
    const task = state.tasks[task_id]?.task ?? task_id;
    sums[task] = (sums[task] ?? 0) + 1;
    if (sums[task] <= MOST_OF_A_TASK) nodes.push({ id: `run ${run_id}`, run_id, kind: "run", label: workflow ?? run_id, depends_on: [task], status, workflow });
  }
  return nodes;
}

/** The state with their statuses beside those of the tasks. No task has a space in its name. */
function withRuns(state, nodes) {
  if (!nodes.length) return state;
  const tasks = Object.create(state.tasks);
  for (const { id, status, workflow = "" } of nodes) tasks[id] = { status, workflow };
  return { tasks };
}
