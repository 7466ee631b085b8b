// The head of a run: what it is, where it stands, what can be done about it.
import { html, useEffect, useState } from "./ui.js";
import { Ask, Connection, Copy, attempt } from "./parts.js";
import { Name, Status, hasEnded } from "./status.js";
import { cost, count, counted, duration, moment, percent, timeOf } from "./format.js";
import { questionsOf, reachedOf } from "./live_run.js";
import { address, place } from "./route.js";
import { session } from "./session.js";
import { stringify } from "./client/json.js";

export function RunHead({ run, state, history, select }) {
  return html`<header class="run-head">
    <nav class="crumbs" aria-label="Where this is"><a href="#/runs">Runs</a><span aria-hidden="true">/</span><a href=${address(["workflows", state.workflow ?? ""])}><${Name}>${state.session ? "session" : state.workflow}<//></a>
      ${state.parent?.run_id && html`<span aria-hidden="true">/</span><a href=${address(["runs", state.parent.run_id])}>parent <${Name} most=${24}>${state.parent.run_id}<//></a>`}</nav>
    <div class="title-row">
      <h1 class="mono"><${Name} most=${56}>${run.id}<//></h1><${Copy} text=${run.id} />
      <${Status} status=${state.status} />
      ${run.at === null ? html`<${Connection} status=${run.status} detail=${run.detail} />` : html`<span class="connection c-past"><i aria-hidden="true"></i>at event ${count(run.at)}</span>`}
      <div class="actions"><${Against} run=${run} history=${history} /><${Actions} run=${run} state=${run.stream.state ?? state} /></div>
    </div>
    <${Meter} state=${state} />
    <${Facts} run=${run} state=${state} history=${history} />
    <${Why} run=${run} state=${state} history=${history} select=${select} />
  </header>`;
}

// --- where it stands ---

function Meter({ state }) {
  const { total, fraction, sums } = reachedOf(state);
  if (!total) return null;
  const parts = ["completed", "failed", "cancelled", "skipped", "running"].filter((name) => sums[name] > 0);
  return html`<div class="meter" role="progressbar" aria-label="Progress" aria-valuenow=${Math.floor(fraction * 100)} aria-valuemin="0" aria-valuemax="100" title=${percent(fraction)}>
    ${parts.map((name) => html`<i key=${name} class="s-${name}" style=${{ width: `${(sums[name] / total) * 100}%` }}></i>`)}
  </div>`;
}

function Facts({ run, state, history }) {
  const { done, total, fraction, sums } = reachedOf(state);
  const facts = [
    ["Duration", duration(tookOf(run, state, history))],
    total ? ["Progress", `${percent(fraction)}`] : null,
    total ? ["Tasks", `${count(done)} / ${count(total)}`] : null,
    ...["running", "failed", "skipped", "cancelled"].filter((name) => sums[name] > 0).map((name) => [name[0].toUpperCase() + name.slice(1), count(sums[name]), `s-${name}`]),
    state.recoveries ? ["Recovered", counted(state.recoveries, "time")] : null,
    state.cost || state.budget?.cost ? ["Cost", ofLimit(cost(state.cost ?? 0), state.budget?.cost, cost)] : null,
    state.tokens || state.budget?.tokens ? ["Tokens", ofLimit(count(state.tokens ?? 0), state.budget?.tokens, count)] : null,
    speedupOf(history) ? ["Speedup", `${speedupOf(history)}×`] : null,
    ["Started", moment(state.started)],
  ];
  return html`<dl class="facts">${facts.filter(Boolean).map(([name, value, kind = ""]) => html`<div key=${name} class=${kind}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

const ofLimit = (value, limit, form) => (limit === undefined || limit === null ? value : `${value} of ${form(limit)}`);

/** Of an open run up to now; of one that is looked at in the past up to then. */
export function tookOf(run, state, history) {
  if (state.duration_ms !== undefined) return state.duration_ms;
  const from = timeOf(state.started);
  return run.at === null && !hasEnded(state.status) ? Date.now() - from : history.to - from;
}

const speedupOf = (history) => {
  const last = history.events.at(-1);
  return last?.type.startsWith("run.") && last.data.speedup > 0 ? last.data.speedup : null;
};

// --- what is wrong, and what it waits for ---

function Why({ run, state, history, select }) {
  const lines = [];
  const stranded = run.about?.recoverable === false ? run.about.not_recovered ?? "nobody goes on with it" : null;
  if (stranded) lines.push(html`<p class="banner bad" role="alert"><strong>Stranded</strong> ${stranded}</p>`);
  if (run.gap) lines.push(html`<p class="banner"><strong>Events are missing</strong> ${count(run.gap.from)} to ${count(run.gap.to)} (${run.gap.reason})</p>`);
  if (run.error) lines.push(html`<p class="banner bad" role="alert"><strong>The stream is lost</strong> ${run.error.message} <button onClick=${() => run.stream.reconnect()}>Reconnect</button></p>`);
  if (state.error) lines.push(html`<${Failure} state=${state} history=${history} select=${select} />`);
  const asked = questionsOf(state);
  if (asked.length) lines.push(html`<p class="banner ask-banner"><strong>${counted(asked.length, "question")} ${asked.length === 1 ? "waits" : "wait"} for an answer</strong>
    ${asked.slice(0, 3).map(({ task_id, prompt }) => html`<button class="link" onClick=${() => select(task_id)}><${Name} most=${28}>${task_id}<//>${prompt ? `: ${textOf(prompt)}` : ""}</button>`)}</p>`);
  return lines.length ? html`<div class="banners">${lines}</div>` : null;
}

const MOST_OF_A_PROMPT = 140;

/** A prompt on one line; the panel of its task has all of it. */
function textOf(prompt) {
  const text = typeof prompt === "string" ? prompt : stringify(prompt);
  return text.length > MOST_OF_A_PROMPT ? `${text.slice(0, MOST_OF_A_PROMPT)}…` : text;
}

function Failure({ state, history, select }) {
  const first = history.bars.find((bar) => bar.status === "failed" && state.tasks[bar.task]?.status === "failed");
  return html`<p class="banner bad" role="alert"><strong>${state.error.type ?? "Failed"}</strong> <span class="message">${state.error.message}</span>
    ${first && html`<button class="link" onClick=${() => select(first.task)}>look at ${first.task}</button>`}</p>`;
}

// --- what can be done ---

function Actions({ run, state }) {
  if (state.session) return null;
  const isOpen = !hasEnded(state.status);
  const { handle } = run;
  const events = () => address(["runs", run.id, "events"]);
  const act = (what, does) => () => attempt(what, does, events);
  const buttons = [];
  if (session.may("control") && isOpen) {
    if (state.status === "running") buttons.push(html`<${Ask} key="pause" label="Pause" question="Start no more tasks until the run is resumed?" act=${act("paused", () => handle.pause())} />`);
    if (state.status === "paused") buttons.push(html`<${Ask} key="resume" label="Resume" kind="main" question="Go on with this run?" act=${act("resumed", () => handle.resume())} />`);
    if (state.status !== "cancelling") buttons.push(html`<${Ask} key="cancel" label="Cancel" confirm="Cancel the run" kind="bad" question="Stop this run? What runs is told to stop, and nothing more begins."
      act=${(form) => attempt("cancelling", () => handle.cancel({ reason: form.get("reason") || undefined }), events)}>
      <label class="field"><span>Reason</span><input name="reason" placeholder="optional" maxlength="200" /></label><//>`);
  }
  if (session.may("control") && !isOpen) buttons.push(html`<${Retry} key="retry" run=${run} />`);
  if (session.may("admin") && !isOpen) buttons.push(html`<${Ask} key="delete" label="Delete" kind="bad" confirm="Delete for good" question="Remove this run with all its events? Nothing brings them back."
    act=${async () => (await attempt("deleted", () => handle.delete())) && place.go(["runs"])} />`);
  return buttons;
}

/** Another run to compare with: the one that this is a retry of, or the last of the same workflow. */
function Against({ run, history }) {
  const { started } = history;
  const [others, setOthers] = useState(null);
  const ask = async () => {
    const { runs } = await session.api.list({ workflow: started.workflow, limit: 20 });
    setOthers(runs.filter(({ run_id }) => run_id !== run.id));
  };
  useEffect(() => setOthers(null), [run]);
  if (!started?.workflow) return null;
  const act = (form) => {
    const other = String(form.get("other")).trim();
    if (!other) return false;
    place.go(["compare", other, run.id]);
    return undefined;
  };
  return html`<${Ask} label="Compare" question="With which run?" confirm="Compare" act=${act}>
    <label class="field"><span>Run</span><input name="other" list="others" required onFocus=${() => others ?? ask().catch(session.told.bind(session))} defaultValue=${started.retry_of ?? ""} autocomplete="off" /></label>
    <datalist id="others">${(others ?? []).map(({ run_id, status }) => html`<option key=${run_id} value=${run_id}>${status}</option>`)}</datalist><//>`;
}

const Retry = ({ run }) => html`<${Ask} label="Retry" kind="main" question="Start a new run that takes over what completed in this one?"
  act=${() => attempt("started anew", async () => {
    const next = await run.handle.retry();
    place.go(["runs", next.id]);
    return next;
  })} />`;
