// Runs as rows: arrows move, Enter opens.
import { html, useRef, useState } from "./ui.js";
import { Name, Status, hasEnded } from "./status.js";
import { ago, clock, cost, count, duration, moment, timeOf } from "./format.js";
import { address, place } from "./route.js";
import { Bulk } from "./bulk.js";
import { session } from "./session.js";

export function RunTable({ list }) {
  const [chosen, setChosen] = useState(() => new Set());
  const isBulk = session.may("control");
  const toggle = (id) => setChosen((was) => new Set(was.has(id) ? [...was].filter((one) => one !== id) : [...was, id]));
  const runs = list.runs.filter((run) => chosen.has(run.run_id));
  const body = useRef(null);
  const [at, setAt] = useState(0);
  const current = Math.min(at, list.runs.length - 1);
  const move = (event) => {
    if (event.key === "x" && isBulk) return toggle(list.runs[current].run_id);
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, Home: -Infinity, End: Infinity, PageDown: 10, PageUp: -10 }[event.key];
    if (step === undefined) return undefined;
    event.preventDefault();
    const next = Math.max(0, Math.min(list.runs.length - 1, current + step));
    setAt(next);
    body.current?.querySelectorAll("a.run")[next]?.focus();
    return undefined;
  };
  return html`${runs.length > 0 && html`<${Bulk} runs=${runs} clear=${() => setChosen(new Set())} />`}<div class="table-box"><table class="run-table">
    <thead><tr>${isBulk && html`<th class="choose"><span class="offscreen">Chosen</span></th>`}<th>Status</th><th>Run</th><th>Workflow</th><th class="right">Tasks</th><th class="right">Cost</th><th class="right">Duration</th><th class="right">Started</th></tr></thead>
    <tbody ref=${body} onKeyDown=${move}>${list.runs.map((run, index) => html`<${Row} key=${run.run_id} run=${run} isCurrent=${index === current} toggle=${isBulk && toggle} isChosen=${chosen.has(run.run_id)} focus=${() => setAt(index)} />`)}</tbody>
  </table>
  ${list.hasMore && html`<button class="more" onClick=${() => list.loadMore()}>Show more</button>`}</div>`;
}

function Row({ run, isCurrent, focus, toggle, isChosen }) {
  const took = run.duration_ms ?? (hasEnded(run.status) ? undefined : Date.now() - timeOf(run.created));
  return html`<tr class="row-${run.status}" onClick=${(event) => !event.target.closest("a, input") && place.go(["runs", run.run_id])}>
    ${toggle && html`<td class="choose"><input type="checkbox" tabindex="-1" checked=${isChosen} aria-label=${`Choose ${run.run_id}`} onChange=${() => toggle(run.run_id)} /></td>`}
    <td class="state"><${Status} status=${run.status} />${run.asks ? html`<span class="asks" title="asks a person">asks</span>` : ""}</td>
    <td class="id"><a class="run" href=${address(["runs", run.run_id])} tabindex=${isCurrent ? 0 : -1} onFocus=${focus}>${run.parent && html`<span class="child" title="started by a task of ${run.parent}">↳ </span>`}<${Name}>${run.run_id}<//></a>
      ${run.problem && html`<div class="why" title=${run.problem}>${run.problem}</div>`}</td>
    <td class="workflow"><a href=${address(["workflows", run.workflow])}><${Name} most=${32}>${run.session ? "session" : run.workflow}<//></a></td>
    <td class="right num tasks">${tasksOf(run)}</td>
    <td class="right num cost">${run.cost ? cost(run.cost) : "–"}</td>
    <td class="right num took">${duration(took)}</td>
    <td class="right num when" title=${moment(run.created)}>${Date.now() - timeOf(run.created) < 60_000 ? clock(run.created).slice(0, 8) : ago(run.created)}</td>
  </tr>`;
}

const tasksOf = ({ completed, total_tasks: total }) =>
  completed !== undefined ? `${count(completed)} / ${count(total)}` : total === undefined ? "–" : count(total);
