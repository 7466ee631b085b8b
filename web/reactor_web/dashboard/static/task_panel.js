// The task that is selected: the same beside every tab.
import { html, useState } from "./ui.js";
import { Ask, Problem, attempt } from "./parts.js";
import { Name, Status, hasEnded } from "./status.js";
import { bytes, cost, count, duration, moment, percent, timeOf } from "./format.js";
import { Value } from "./json_tree.js";
import { Question } from "./question.js";
import { address, place } from "./route.js";
import { session } from "./session.js";

export function TaskPanel({ run, state, history, selected, select }) {
  const task = state.tasks[selected];
  const bars = history.bars.filter((bar) => bar.task === selected);
  return html`<aside class="panel" aria-label=${`Task ${selected}`} onKeyDown=${(event) => event.key === "Escape" && select(null)}>
    <header><h2 class="mono"><${Name} most=${40}>${task.id}<//></h2><button class="quiet" aria-label="Close" onClick=${() => select(null)}>×</button></header>
    <div class="panel-body">
      <p class="panel-status"><${Status} status=${task.status} />${task.progress > 0 && !hasEnded(task.status) ? html`<span class="num">${percent(task.progress)}</span>` : ""}${task.message && html`<span class="dim">${task.message}</span>`}</p>
      <${TaskFacts} task=${task} bars=${bars} run=${run} />
      ${task.error && html`<div class="trouble"><strong>${task.error.type}</strong><pre>${task.error.message}</pre>${task.error.traceback && html`<details><summary>Traceback</summary><pre>${task.error.traceback}</pre></details>`}</div>`}
      ${(task.waiting ?? []).map((question) => html`<${Question} key=${question.key} run=${run.handle} task=${task.id} question=${question} isPast=${run.at !== null} />`)}
      ${task.count !== undefined && html`<${Children} task=${task} state=${state} select=${select} />`}
      <${Below} task=${task} state=${state} />
      <${Given} task=${task} history=${history} />
      <${Result} key=${task.id} task=${task} history=${history} run=${run} />
      ${session.may("control") && run.at === null && !hasEnded(task.status) && task.attempt > 0 && html`<${Ask} label="Cancel this task" kind="bad" question="Stop this task alone? The run goes on."
        act=${() => attempt(`cancelling ${task.id}`, () => run.handle.cancel({ task: task.id }))} />`}
      ${session.may("control") && hasEnded(run.stream.state?.status) && task.map_index === undefined && html`<${Ask} label="Retry from here" question=${`Start a new run in which ${task.id}, and what depends on it, runs again? The rest is taken over.`} act=${() => retryFrom(run, task.id)} />`}
    </div>
  </aside>`;
}

const retryFrom = (run, task) => attempt("started anew", async () => {
  const begun = await session.api.send("POST", `${run.handle.path}/retry`, { from: task });
  place.go(["runs", begun.run_id]);
  return begun;
});

function TaskFacts({ task, bars, run }) {
  const first = bars[0];
  const until = task.ended ? timeOf(task.ended) : run.at === null ? Date.now() : bars.at(-1)?.to ?? bars.at(-1)?.from;
  const facts = [
    task.attempt ? ["Attempt", count(task.attempt)] : null,
    task.started ? ["Duration", duration(task.duration_ms ?? until - timeOf(task.started))] : null,
    bars.length > 1 ? ["In all", duration(until - first.from)] : null,
    task.started ? ["Started", moment(task.started)] : null,
    task.cost ? ["Cost", cost(task.cost)] : null,
    task.tokens ? ["Tokens", count(task.tokens)] : null,
    task.reason ? ["Reason", task.because ? `${task.reason}: ${task.because}` : task.reason] : null,
    task.depends_on?.length ? ["After", task.depends_on.join(", ")] : null,
  ];
  return html`<dl class="facts small">${facts.filter(Boolean).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${bars.length > 1 && html`<ol class="attempts">${bars.map((bar) => html`<li key=${bar.attempt}><span class="dim num">${bar.attempt}</span><${Status} status=${bar.status === "lost" ? "cancelled" : bar.status} label=${bar.status} /><span class="num">${bar.to === undefined ? "" : duration(bar.to - bar.from)}</span>${bar.error && html`<span class="why" title=${bar.error}>${bar.error}</span>`}</li>`)}</ol>`}`;
}

/** The children of a mapped task: those that failed or ask first. */
function Children({ task, state, select }) {
  const [most, setMost] = useState(50);
  const rank = { failed: 0, waiting: 1, retrying: 2, running: 3, cancelled: 4, skipped: 5, pending: 6, completed: 7 };
  const children = Object.values(state.tasks).filter((one) => one.task === task.id && one.map_index !== undefined)
    .sort((one, other) => rank[one.status] - rank[other.status] || one.map_index - other.map_index);
  return html`<section class="value"><header><h2>Items</h2><span class="dim">${count(task.count)}</span></header>
    <ul class="children">${children.slice(0, most).map((one) => html`<li key=${one.id}><button class="link" onClick=${() => select(one.id)}><span class="mono dim">[${one.map_index}]</span><${Status} status=${one.status} /></button>${one.error && html`<span class="why">${one.error.message}</span>`}</li>`)}</ul>
    ${children.length > most && html`<button class="quiet small" onClick=${() => setMost(most + 500)}>${count(children.length - most)} more</button>`}
  </section>`;
}

/** The runs that this task has started. */
function Below({ task, state }) {
  const below = Object.entries(state.children ?? {}).filter(([, child]) => child.task_id === task.id);
  if (!below.length) return null;
  return html`<section class="value"><header><h2>Child runs</h2><span class="dim">${count(below.length)}</span></header>
    <ul class="children">${below.slice(0, 100).map(([id, child]) => html`<li key=${id}><a href=${address(["runs", id])}><${Status} status=${child.status} /><${Name} most=${30}>${child.workflow ?? id}<//></a></li>`)}</ul></section>`;
}

function Given({ task, history }) {
  const event = history.inputs.get(task.id);
  if (!event) return null;
  return html`<${Value} title="Input" value=${event.data.input ?? event.data.input_preview} note=${event.data.input_preview ? "beginning" : ""} />`;
}

function Result({ task, history, run }) {
  const [whole, setWhole] = useState();
  const event = history.results.get(task.id);
  if (event?.type !== "task.completed") return null;
  const { output, output_ref: isLarge, preview, size, cached } = event.data;
  if (!isLarge || whole?.value !== undefined) return html`<${Value} title="Output" value=${whole?.value ?? output} note=${cached ? "from the cache" : ""} />`;
  const read = () => run.handle.output(task.id).then((value) => setWhole({ value }), (error) => setWhole({ error: session.told(error) }));
  return html`<${Value} title="Output" value=${preview} note=${`beginning of ${bytes(size)}`} />
    ${whole?.error ? html`<${Problem} error=${whole.error} retry=${read} />` : html`<button onClick=${read}>Load all ${bytes(size)}</button>`}`;
}
