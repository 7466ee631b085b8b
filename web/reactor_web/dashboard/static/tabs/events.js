// The events of a run as they are in its log.
import { html, useMemo, useState } from "../ui.js";
import { Copy } from "../parts.js";
import { VirtualList } from "../virtual_list.js";
import { Tree } from "../json_tree.js";
import { clock, count } from "../format.js";
import { matcher } from "../client/follow.js";
import { stringify } from "../client/json.js";
import { Name } from "../status.js";
import { place } from "../route.js";

const ROW = 24;

export function Events({ run, history, selected, select, query }) {
  const [at, setAt] = useState(null);
  const { type = "" } = query;
  const events = useMemo(() => filtered(history.events, selected, type), [history, history.events.length, history.dropped, selected, type]);
  const event = events.find((one) => one.seq === at);
  const move = (key) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[key.key];
    if (!step || !events.length) return;
    key.preventDefault();
    const now = events.findIndex((one) => one.seq === at);
    setAt(events[Math.max(0, Math.min(events.length - 1, now + step))].seq);
  };
  return html`<div class="lines-tab">
    <div class="bar-of-tab">
      <input type="search" placeholder="Types, like task.*,run.*" aria-label="Filter types" value=${type} onInput=${(input) => place.set({ type: input.target.value })} />
      ${selected && html`<span class="chip on">task <${Name} most=${24}>${selected}<//><button class="quiet small" aria-label="All tasks" onClick=${() => select(null)}>×</button></span>`}
      <span class="dim num">${events.length === history.events.length ? count(events.length) : `${count(events.length)} of ${count(history.events.length)}`} events${history.dropped ? `, ${count(history.dropped)} earlier ones are not kept here` : ""}</span>
      <${Copy} text=${() => events.slice(-10_000).map(stringify).join("\n")} label="Copy as JSON lines" />
    </div>
    <${VirtualList} count=${events.length} height=${ROW} follows=${run.at === null && at === null} label="Events" onKeyDown=${move} at=${event ? events.indexOf(event) : undefined} empty=${html`<p class="dim pad">no event fits</p>`}
      render=${(index) => html`<${Row} key=${events[index].seq} event=${events[index]} isOpen=${events[index].seq === at} open=${setAt} />`} />
    ${event && html`<div class="line-detail"><header><span class="mono dim">${event.type} · ${event.time}</span><button class="quiet small" onClick=${() => run.go(event.seq)}>Look at the run here</button><${Copy} text=${() => stringify(event)} label="Copy JSON" /><button class="quiet" aria-label="Close" onClick=${() => setAt(null)}>×</button></header><${Tree} value=${event} depth=${3} /></div>`}
  </div>`;
}

const Row = ({ event, isOpen, open }) => html`<div class="line" role="listitem" aria-current=${isOpen}>
  <button class="at mono" aria-label=${`Open event ${count(event.seq)}`} onClick=${() => open(isOpen ? null : event.seq)}>${count(event.seq)}</button>
  <span class="mono dim time">${clock(event.time)}</span><span class="type mono">${event.type}</span><span class="of mono" title=${event.task_id ?? ""}>${event.task_id ?? ""}</span>
  <span class="said mono dim">${stringify(event.data).slice(0, 240)}</span></div>`;

function filtered(events, selected, type) {
  const globs = type.split(",").map((one) => one.trim()).filter(Boolean).map((one) => (one.includes("*") ? one : `${one}*`));
  if (!globs.length && !selected) return events;
  const admits = globs.length ? matcher(globs) : () => true;
  return events.filter((event) => (!selected || event.task_id === selected || event.task === selected) && admits(event.type));
}
