// One workflow: its graph, a form that starts a run, its recent runs and how long they took.
import { html, useAsked, useChanges, useEffect, useMemo, useRef, useState, useTick, useTitle } from "../ui.js";
import { Connection, Loading, Problem, messages } from "../parts.js";
import { GraphView } from "../graph_view.js";
import { keyOf, layoutOf, shapeOf } from "../graph_layout.js";
import { LiveList } from "../live_list.js";
import { RunTable } from "../run_table.js";
import { JsonField, SchemaField, initialOf, missing } from "../schema_form.js";
import { Name, hasEnded } from "../status.js";
import { count, counted, duration } from "../format.js";
import { palette, whenColorsChange } from "../palette.js";
import { place } from "../route.js";
import { session } from "../session.js";

const NO_STATE = { tasks: {} };

export function Workflow({ name }) {
  useTitle(name);
  const { value: workflow, error, isLoading } = useAsked(() => session.api.send("GET", `/workflows/${encodeURIComponent(name)}`).catch((problem) => Promise.reject(session.told(problem))), [name]);
  const list = useMemo(() => new LiveList(session, { workflow: name }), [name]);
  useEffect(() => () => list.close(), [list]);
  useChanges(list);
  useTick(1000, list.runs.some((run) => !hasEnded(run.status)));
  return html`<main class="workflow-page">
    <div class="page-head"><h1><${Name}>${name}<//></h1>${workflow && html`<span class="dim">version ${workflow.version} · ${counted(workflow.tasks.length, "task")} · <span class="mono">${workflow.fingerprint}</span></span>`}<${Connection} status=${list.status} detail=${list.detail} /></div>
    ${error && (error.status === 404 && list.runs.length ? html`<p class="dim">This workflow is not registered any more; its runs are still here.</p>` : html`<${Problem} error=${error} />`)}
    ${isLoading && html`<${Loading} what="Loading the workflow" />`}
    ${workflow && html`<div class="workflow-top ${session.may("run") ? "" : "alone"}"><${Picture} tasks=${workflow.tasks} />${session.may("run") && html`<${Start} key=${name} workflow=${workflow} />`}</div>`}
    ${workflow && html`<${TaskTimes} name=${name} tasks=${workflow.tasks} />`}
    <section class="workflow-runs"><h2>Recent runs</h2><${Durations} key=${name} runs=${list.runs} />
      ${list.runs.length ? html`<${RunTable} list=${list} />` : html`<p class="dim">${list.isLoading ? "Loading …" : "No run of this workflow yet."}</p>`}</section>
  </main>`;
}

function Picture({ tasks }) {
  const shape = useMemo(() => shapeOf(tasks), [tasks]);
  const { value: layout, error } = useAsked(() => layoutOf(shape, keyOf(shape)), [shape]);
  return html`<div class="graph-box">${error ? html`<${Problem} error=${error} />` : layout ? html`<${GraphView} layout=${layout} state=${NO_STATE} label=${`Graph: ${tasks.slice(0, 50).map(({ id, depends_on }) => (depends_on?.length ? `${id} after ${depends_on.join(" and ")}` : id)).join("; ")}`} />` : html`<${Loading} />`}</div>`;
}

/** A form of the input's JSON Schema. What does not fit into fields is written as JSON. */
function Start({ workflow }) {
  const schema = workflow.input_schema;
  const [value, setValue] = useState(() => initialOf(schema, schema) ?? {});
  const [isJson, setJson] = useState(false);
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const lacks = missing(value, schema, schema, "the input");
  const start = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const run = await session.api.start(workflow.name, value);
      messages.say("started");
      place.go(["runs", run.id]);
    } catch (error) {
      setProblem(session.told(error));
      setBusy(false);
    }
  };
  const isEmpty = !Object.keys(schema.properties ?? {}).length;
  return html`<form class="start" onSubmit=${start} aria-label="Start a run">
    <header><h2>Start a run</h2>${!isEmpty && html`<label class="check"><input type="checkbox" checked=${isJson} onChange=${() => setJson(!isJson)} /> as JSON</label>`}</header>
    ${isEmpty ? html`<p class="dim">It takes no input.</p>` : isJson ? html`<${JsonField} id="start-json" value=${value} change=${setValue} rows=${8} />` : html`<${SchemaField} name="input" schema=${schema} value=${value} change=${setValue} />`}
    ${problem && html`<p class="help bad" role="alert">${problem.message}</p>`}
    <div class="row"><button class="main" disabled=${isBusy || Boolean(lacks)} title=${lacks ?? ""}>Start</button></div>
  </form>`;
}

/** How long each task took in the last runs that completed: half of them, nine of ten, and the slowest. */
function TaskTimes({ name, tasks }) {
  const { value } = useAsked(() => session.api.send("GET", `/workflows/${encodeURIComponent(name)}/durations?runs=50`), [name]);
  const rows = tasks.filter(({ id }) => value?.tasks[id]?.count).map(({ id }) => ({ id, ...value.tasks[id] }));
  if (!rows.length) return null;
  const most = Math.max(...rows.map((row) => row.max)) || 1;
  return html`<section class="workflow-runs"><h2>Durations by task</h2><div class="table-box"><table><thead><tr><th>Task</th><th class="right">Runs</th><th class="right">Median</th><th class="right">90 %</th><th class="right">Slowest</th><th><span class="offscreen">Share</span></th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.id}><td class="mono"><${Name} most=${36}>${row.id}<//></td><td class="right num">${count(row.count)}</td>
      ${["p50", "p90", "max"].map((key) => html`<td key=${key} class="right num">${duration(row[key] * 1000)}</td>`)}
      <td class="share spread"><i class="most" style=${{ width: `${(row.max / most) * 100}%` }}></i><i style=${{ width: `${(row.p50 / most) * 100}%` }}></i></td></tr>`)}</tbody></table></div></section>`;
}

/** How long the runs that completed took, the newest at the right. */
function Durations({ runs }) {
  const box = useRef(null);
  const chart = useRef(null);
  const done = runs.filter((run) => run.status === "completed" && run.duration_ms !== undefined).slice(0, 50).reverse();
  const data = [done.map((_, at) => at + 1), done.map((run) => run.duration_ms)];
  const isShown = done.length > 2;
  useEffect(() => {
    if (!isShown) return undefined;
    let isGone = false;
    const make = async () => {
      const { default: uPlot } = await import("../vendor/uplot.js");
      if (isGone) return;
      chart.current?.destroy();
      chart.current = new uPlot(optionsOf(uPlot, box.current), data, box.current);
    };
    make();
    const forget = whenColorsChange(make);
    return () => {
      isGone = true;
      forget();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [isShown]);
  const key = done.map((run) => run.run_id).join();
  useEffect(() => chart.current?.setData(data), [key]);
  return isShown ? html`<figure class="chart"><figcaption>Duration of the last ${done.length} that completed</figcaption><div ref=${box}></div></figure>` : null;
}

function optionsOf(uPlot, box) {
  const colors = palette();
  const axis = { stroke: colors.muted, grid: { stroke: colors.line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  return {
    width: Math.max(280, box.clientWidth), height: 130, legend: { show: false }, cursor: { show: false },
    scales: { x: { time: false, range: (_, least, most) => [least - 0.7, most + 0.7] }, y: { range: (_, __, most) => [0, most * 1.1 || 1] } },
    series: [{}, { stroke: colors.completed, fill: colors.completed, paths: uPlot.paths.bars({ size: [0.6, 28] }), points: { show: false } }],
    axes: [{ ...axis, show: false }, { ...axis, size: 74, values: (_, marks) => marks.map((mark) => duration(mark)) }],
  };
}
