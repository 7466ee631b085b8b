// One run: a header, and tabs that share one selection and one moment.
import { html, useChanges, useEffect, useMemo, useTick, useTitle } from "../ui.js";
import { Empty, Loading, Problem } from "../parts.js";
import { LiveRun, questionsOf } from "../live_run.js";
import { RunHead } from "../run_head.js";
import { TaskPanel } from "../task_panel.js";
import { TimeTravel } from "../time_travel.js";
import { place } from "../route.js";
import { session } from "../session.js";
import { hasEnded } from "../status.js";
import { Graph } from "../tabs/graph.js";
import { Timeline } from "../tabs/timeline.js";
import { Logs } from "../tabs/logs.js";
import { Events } from "../tabs/events.js";
import { Stream } from "../tabs/stream.js";
import { Data } from "../tabs/data.js";
import { Budget } from "../tabs/budget.js";

const TABS = { graph: Graph, timeline: Timeline, logs: Logs, events: Events, stream: Stream, data: Data, budget: Budget };
const LABELS = { graph: "Graph", timeline: "Timeline", logs: "Logs", events: "Events", stream: "Stream", data: "Data", budget: "Budget" };

export function Run({ id, tab = "graph", query }) {
  useTitle(id);
  const run = useMemo(() => new LiveRun(session, id), [id]);
  useEffect(() => () => run.close(), [run]);
  useChanges(run);
  const wanted = Number(query.seq) || null;
  useEffect(() => {
    if (wanted === null) run.go(null);
    else if (wanted <= run.stream.lastSeq && run.at !== wanted) run.go(wanted);
  }, [run, wanted, wanted !== null && run.stream.lastSeq >= wanted]);
  const { state, history, chunks } = run.shown;
  useTick(1000, Boolean(state?.started) && !hasEnded(state.status) && run.at === null);

  if (run.error && !state?.seq) return html`<main class="run"><${Problem} error=${run.error} retry=${() => run.stream.reconnect()} /></main>`;
  if (!state?.seq) return html`<main class="run"><${Loading} what="Loading the run" /></main>`;
  const Tab = TABS[tab] ?? Graph;
  const name = TABS[tab] ? tab : "graph";
  const select = (task) => place.set({ task: task ?? "" });
  const shared = { run, state, history, chunks, selected: query.task || null, select, query };
  return html`<main class="run">
    <${RunHead} run=${run} state=${state} history=${history} select=${select} />
    <div class="tabs" role="tablist" aria-label="Views of the run" onKeyDown=${(event) => arrow(event, id, name, query)}>
      ${Object.keys(TABS).map((key) => html`<a key=${key} role="tab" id=${`tab-${key}`} aria-selected=${key === name} tabindex=${key === name ? 0 : -1}
        aria-controls="tab-panel" href=${hrefOf(id, key, query)}>${LABELS[key]}${badgeOf(key, state, history)}</a>`)}
    </div>
    <div class=${`run-body ${shared.selected && state.tasks[shared.selected] ? "has-panel" : ""}`}>
      <section class=${`tab tab-${name}`} id="tab-panel" role="tabpanel" aria-labelledby=${`tab-${name}`}>
        ${state.session && name === "graph" ? html`<${Empty} title="A session has no graph"><p>Its events come from outside.</p><//>` : html`<${Tab} ...${shared} />`}
      </section>
      ${shared.selected && state.tasks[shared.selected] && html`<${TaskPanel} ...${shared} />`}
    </div>
    <${TimeTravel} run=${run} />
  </main>`;
}

const hrefOf = (id, tab, query) => {
  const kept = Object.entries(query).filter(([name, value]) => value && ["task", "seq"].includes(name));
  return `#/runs/${encodeURIComponent(id)}/${tab}${kept.length ? `?${new URLSearchParams(kept)}` : ""}`;
};

function badgeOf(key, state, history) {
  if (key === "logs" && history.logs.length) return html` <b>${history.logs.length > 9999 ? "10k+" : history.logs.length}</b>`;
  if (key === "graph" && questionsOf(state).length) return html` <b class="s-waiting">?</b>`;
  return "";
}

function arrow(event, id, name, query) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const keys = Object.keys(TABS);
  const next = keys[(keys.indexOf(name) + step + keys.length) % keys.length];
  event.currentTarget.querySelector(`#tab-${next}`)?.focus();
  place.go(["runs", id, next], Object.fromEntries(Object.entries(query).filter(([key]) => ["task", "seq"].includes(key))), { replace: true });
}
