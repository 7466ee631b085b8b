// Two runs side by side: what differs in their input, their tasks, their times and their costs.
import { html, useChanges, useEffect, useMemo, useTick, useTitle } from "../ui.js";
import { Connection, Loading, Problem } from "../parts.js";
import { LiveRun, reachedOf } from "../live_run.js";
import { tookOf } from "../run_head.js";
import { Name, Status, hasEnded } from "../status.js";
import { cost, count, duration, timeOf } from "../format.js";
import { address } from "../route.js";
import { session } from "../session.js";
import { stringify } from "../client/json.js";

const MOST = 500;

export function Compare({ ids }) {
  useTitle("Compare");
  const runs = useMemo(() => ids.map((id) => new LiveRun(session, id)), [ids.join()]);
  useEffect(() => () => runs.forEach((run) => run.close()), [runs]);
  useChanges(runs[0]);
  useChanges(runs[1]);
  useTick(1000, runs.some((run) => run.stream.state?.started && !hasEnded(run.stream.state.status)));
  const broken = runs.find((run) => run.error && !run.stream.state?.seq);
  if (broken) return html`<main><${Problem} error=${broken.error} /></main>`;
  if (runs.some((run) => !run.stream.state?.seq)) return html`<main><${Loading} what="Loading both runs" /></main>`;
  const [one, other] = runs.map((run) => run.shown.state);
  return html`<main class="compare"><div class="page-head"><h1>Compare</h1></div>
    <div class="sides">${runs.map((run) => html`<${Side} key=${run.id} run=${run} />`)}</div>
    <${Inputs} runs=${runs} />
    <${Tasks} one=${one} other=${other} runs=${runs} />
  </main>`;
}

function Side({ run }) {
  const { state, history } = run.shown;
  const { done, total } = reachedOf(state);
  const facts = [["Duration", duration(tookOf(run, state, history))], ["Tasks", `${count(done)} / ${count(total)}`], ["Failed", count(state.failed)],
    ["Cost", cost(state.cost ?? 0)], ["Tokens", count(state.tokens ?? 0)], ["Version", `${state.workflow} ${state.version}`]];
  return html`<section class="side"><h2 class="mono"><a href=${address(["runs", run.id])}><${Name} most=${40}>${run.id}<//></a></h2>
    <p class="panel-status"><${Status} status=${state.status} /><${Connection} status=${run.status} detail=${run.detail} /></p>
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${state.error && html`<p class="why whole">${state.error.message}</p>`}</section>`;
}

/** The members of two objects that are not the same: `[name, one, other]`. */
export function differences(one = {}, other = {}) {
  const names = [...new Set([...Object.keys(one ?? {}), ...Object.keys(other ?? {})])];
  return names.map((name) => [name, one?.[name], other?.[name]]).filter(([, a, b]) => stringify(a) !== stringify(b));
}

function Inputs({ runs }) {
  const [one, other] = runs.map((run) => run.history.started);
  if (one?.input === undefined || other?.input === undefined) return html`<p class="dim">An input is too large to be compared here.</p>`;
  const found = differences(one.input, other.input);
  if (!found.length) return html`<p class="dim">Both began with the same input.</p>`;
  return html`<div class="table-box"><table><thead><tr><th>Input</th>${runs.map((run) => html`<th key=${run.id}><${Name} most=${30}>${run.id}<//></th>`)}</tr></thead>
    <tbody>${found.map(([name, a, b]) => html`<tr key=${name}><td class="mono">${name}</td><td class="mono cut">${stringify(a) ?? "–"}</td><td class="mono cut">${stringify(b) ?? "–"}</td></tr>`)}</tbody></table></div>`;
}

/** Milliseconds that a task has taken, a mapped one from its first to its last child. */
const timeTaken = (task) => (task?.started && task.ended ? timeOf(task.ended) - timeOf(task.started) : task?.duration_ms);

function Tasks({ one, other, runs }) {
  const names = [...new Set([one, other].flatMap((state) => Object.values(state.tasks).filter((task) => task.map_index === undefined).map((task) => task.id)))];
  const rows = names.map((name) => {
    const [a, b] = [one.tasks[name], other.tasks[name]];
    return { name, a, b, change: (timeTaken(b) ?? NaN) - (timeTaken(a) ?? NaN) };
  });
  const most = Math.max(1, ...rows.map(({ change }) => Math.abs(change) || 0));
  return html`<div class="table-box"><table><thead><tr><th>Task</th>${runs.map((run) => html`<th key=${run.id} colspan="2"><${Name} most=${30}>${run.id}<//></th>`)}<th class="right">Change</th><th><span class="offscreen">Share</span></th></tr></thead>
    <tbody>${rows.slice(0, MOST).map(({ name, a, b, change }) => html`<tr key=${name} class=${a?.status === b?.status ? "" : "differs"}><td class="mono"><${Name} most=${36}>${name}<//></td>
      ${[a, b].map((task, at) => [html`<td key=${`s${at}`}>${task ? html`<${Status} status=${task.status} />` : html`<span class="dim">not there</span>`}</td>`, html`<td key=${`d${at}`} class="right num">${duration(timeTaken(task))}</td>`])}
      <td class="right num">${Number.isNaN(change) ? "–" : `${change > 0 ? "+" : "−"}${duration(Math.abs(change))}`}</td>
      <td class="share">${!Number.isNaN(change) && html`<i class=${change > 0 ? "slower" : "faster"} style=${{ width: `${(Math.abs(change) / most) * 100}%` }}></i>`}</td></tr>`)}</tbody></table></div>`;
}
