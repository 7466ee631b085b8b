// The list of runs: live, filtered by what stands in the address.
import { html, useChanges, useEffect, useMemo, useTick, useTitle } from "../ui.js";
import { Connection, Empty, Loading, Problem } from "../parts.js";
import { LiveList } from "../live_list.js";
import { RunTable } from "../run_table.js";
import { RUN_STATUSES, Status, hasEnded } from "../status.js";
import { count } from "../format.js";
import { place } from "../route.js";
import { session } from "../session.js";

/** What a filter may be; `meta` is `key=value`. */
const FILTERS = ["status", "workflow", "question", "recoverable", "parent", "root", "since", "until"];

/** The filter of the server that an address asks for. */
export function filterOf(query) {
  const filter = Object.fromEntries(FILTERS.filter((name) => query[name]).map((name) => [name, query[name]]));
  for (const name of ["since", "until"]) if (filter[name]) filter[name] = toTime(filter[name]);
  const [, key, value] = /^([^=]+)=(.*)$/.exec(query.meta ?? "") ?? [];
  return key ? { ...filter, [`meta.${key}`]: value } : filter;
}

/** `24h` is 24 hours ago; anything else is a time. */
function toTime(text) {
  const [, number, unit] = /^(\d+)(m|h|d)$/.exec(text) ?? [];
  if (!number) return text;
  const ms = Number(number) * { m: 60_000, h: 3_600_000, d: 86_400_000 }[unit];
  return new Date(Math.floor((Date.now() - ms) / 60_000) * 60_000).toISOString();
}

export function Runs({ query }) {
  useTitle("Runs");
  const key = JSON.stringify(query);
  const list = useMemo(() => new LiveList(session, filterOf(query)), [key]);
  useEffect(() => () => list.close(), [list]);
  useChanges(list);
  useTick(1000, list.runs.some((run) => !hasEnded(run.status)));
  return html`<main class="runs">
    <div class="page-head"><h1>Runs</h1><${Connection} status=${list.status} detail=${list.detail} /><${Throughput} ends=${list.ends} /></div>
    <${Filters} query=${query} runs=${list.runs} hasMore=${list.hasMore} />
    ${list.error && html`<${Problem} error=${list.error} retry=${() => list.reconnect()} />`}
    ${list.isLoading && !list.runs.length ? html`<${Loading} what="Loading runs" />` : list.runs.length ? html`<${RunTable} list=${list} />` : html`<${NoRuns} isFiltered=${Object.keys(query).length > 0} />`}
  </main>`;
}

// --- filters ---

function Filters({ query, runs, hasMore }) {
  const numbers = useMemo(() => tally(runs), [runs, runs.length]);
  const workflows = useMemo(() => [...new Set(runs.map((run) => run.workflow))].filter(Boolean).sort(), [runs, runs.length]);
  return html`<div class="filters" role="search" aria-label="Filter runs">
    <div class="chips" role="group" aria-label="Status">
      <${Chip} name="status" value="" query=${query} label="All" number=${query.status ? null : runs.length} hasMore=${hasMore} />
      ${RUN_STATUSES.map((status) => html`<${Chip} key=${status} name="status" value=${status} query=${query} label=${html`<${Status} status=${status} />`} number=${numbers[status]} />`)}
    </div>
    <div class="fields">
      <${Field} name="workflow" label="Workflow" query=${query} list=${workflows} />
      <${Field} name="meta" label="Tag" hint="key=value" query=${query} />
      <label class="field"><span>Started</span><select value=${query.since ?? ""} onChange=${(event) => place.set({ since: event.target.value })}>
        <option value="">any time</option><option value="15m">last 15 min</option><option value="1h">last hour</option>
        <option value="24h">last 24 hours</option><option value="7d">last 7 days</option>
      </select></label>
      <${Toggle} name="question" value="1" query=${query} label="Asks a person" />
      <${Toggle} name="recoverable" value="false" query=${query} label="Stranded" />
      ${Object.keys(query).length > 0 && html`<button class="quiet" onClick=${() => place.go(["runs"])}>Clear</button>`}
    </div>
  </div>`;
}

const tally = (runs) => runs.reduce((sums, { status }) => ({ ...sums, [status]: (sums[status] ?? 0) + 1 }), {});

const Chip = ({ name, value, query, label, number, hasMore }) => {
  const isOn = (query[name] ?? "") === value;
  return html`<button class="chip" aria-pressed=${isOn} onClick=${() => place.set({ [name]: value })}>${label}${number ? html`<b>${count(number)}${hasMore ? "+" : ""}</b>` : ""}</button>`;
};

const Toggle = ({ name, value, query, label }) => html`<button class="chip" aria-pressed=${query[name] === value}
  onClick=${() => place.set({ [name]: query[name] === value ? "" : value })}>${label}</button>`;

const Field = ({ name, label, hint = "any", query, list }) => html`<label class="field"><span>${label}</span>
  <input name=${name} value=${query[name] ?? ""} placeholder=${hint} list=${list && `list-${name}`} autocomplete="off" spellcheck="false"
    onChange=${(event) => place.set({ [name]: event.target.value.trim() })} />
  ${list && html`<datalist id=${`list-${name}`}>${list.map((one) => html`<option value=${one} />`)}</datalist>`}</label>`;

/** How many runs ended in each of the last 30 seconds that this page has been open. */
function Throughput({ ends }) {
  useTick(1000, ends.length > 0);
  if (!ends.length) return null;
  const now = Date.now();
  const bars = Array.from({ length: 30 }, (_, at) => ends.filter((end) => Math.floor((now - end) / 1000) === 29 - at).length);
  const most = Math.max(1, ...bars);
  const sum = bars.reduce((one, other) => one + other, 0);
  return html`<span class="throughput" title="runs that ended in the last 30 seconds">
    <svg viewBox="0 0 90 20" aria-hidden="true">${bars.map((bar, at) => html`<rect key=${at} x=${at * 3} width="2" y=${20 - (bar / most) * 19} height=${Math.max(1, (bar / most) * 19)} />`)}</svg>
    ${count(sum)} in 30 s</span>`;
}

const NoRuns = ({ isFiltered }) => isFiltered
  ? html`<${Empty} title="No run fits"><p>No run fits these filters.</p><p><a href="#/runs">Show all runs</a></p><//>`
  : html`<${Empty} title="No runs yet">
      <p>A run that starts is here at once. ${session.may("run") && html`Start one of a <a href="#/workflows">workflow</a>, or from a terminal:`}</p>
      <pre>${`curl -X POST ${session.api.base}/workflows/NAME/runs \\\n     -H 'Content-Type: application/json' -d '{"input": {}}'`}</pre><//>`;

