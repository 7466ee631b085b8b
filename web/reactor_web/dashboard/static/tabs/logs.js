// The log lines of a run: the tail of it, filtered by task, level and text.
import { html, useMemo, useState } from "../ui.js";
import { Copy, Empty } from "../parts.js";
import { Said } from "../said.js";
import { VirtualList } from "../virtual_list.js";
import { Tree } from "../json_tree.js";
import { clock, count } from "../format.js";
import { levelOf } from "../history.js";
import { Name } from "../status.js";
import { place } from "../route.js";

const ROW = 24;

export function Logs({ run, history, selected, select, query }) {
  const [follows, setFollows] = useState(true);
  const [at, setAt] = useState(null);
  const { text = "", level = "debug" } = query;
  const lines = useMemo(() => filtered(history.logs, { selected, level, text }), [history.logs, history.logs.length, selected, level, text]);
  if (!history.logs.length) return html`<${Empty} title="No log lines"><p>Lines of <code>ctx.log</code>, failures and retries come here.</p><//>`;
  const line = lines.find((one) => one.seq === at);
  return html`<div class="lines-tab">
    <div class="bar-of-tab">
      <input type="search" placeholder="Filter lines" aria-label="Filter lines" value=${text} onInput=${(event) => place.set({ text: event.target.value })} />
      <label class="field inline"><span>Level</span><select value=${level} onChange=${(event) => place.set({ level: event.target.value === "debug" ? "" : event.target.value })}>
        <option value="debug">all</option><option value="info">info</option><option value="warning">warning</option><option value="error">error</option></select></label>
      ${selected && html`<span class="chip on">task <${Name} most=${24}>${selected}<//><button class="quiet small" aria-label="All tasks" onClick=${() => select(null)}>×</button></span>`}
      <label class="check"><input type="checkbox" checked=${follows} onChange=${() => setFollows(!follows)} /> Follow</label>
      <span class="dim num">${lines.length === history.logs.length ? count(lines.length) : `${count(lines.length)} of ${count(history.logs.length)}`} lines</span>
      <${Copy} text=${() => lines.map(plain).join("\n")} label="Copy all" />
    </div>
    <${VirtualList} count=${lines.length} height=${ROW} follows=${follows && run.at === null} label="Log lines" empty=${html`<p class="dim pad">no line fits</p>`}
      render=${(index) => html`<${Line} key=${lines[index].seq} line=${lines[index]} isOpen=${lines[index].seq === at} open=${setAt} select=${select} />`} />
    ${line && html`<div class="line-detail"><header><span class="mono dim">event ${line.seq} · ${line.time}</span><${Copy} text=${() => plain(line)} /><button class="quiet" aria-label="Close" onClick=${() => setAt(null)}>×</button></header>
      <pre><${Said} text=${line.message} /></pre>${line.fields && Object.keys(line.fields).length > 0 && html`<${Tree} value=${line.fields} />`}</div>`}
  </div>`;
}

function Line({ line, isOpen, open, select }) {
  const [first, ...rest] = String(line.message).split("\n");
  const fields = Object.entries(line.fields ?? {});
  return html`<div class=${`line l-${line.level}`} role="listitem" aria-current=${isOpen}>
    <button class="at mono" aria-label=${`Open the line of ${clock(line.time)}`} onClick=${() => open(isOpen ? null : line.seq)}>${clock(line.time)}</button>
    <span class="level">${line.level}</span>
    ${line.task_id ? html`<button class="link of" title=${line.task_id} onClick=${() => select(line.task_id)}>${line.task_id}</button>` : html`<span class="of dim">run</span>`}
    <span class="said"><${Said} text=${first.slice(0, 2000)} />${rest.length > 0 && html`<span class="dim"> +${rest.length} lines</span>`}${fields.map(([name, value]) => html` <span class="dim">${name}=</span><span>${short(value)}</span>`)}</span>
  </div>`;
}

const short = (value) => {
  const text = typeof value === "string" ? value : JSON.stringify(value, (_, one) => (typeof one === "bigint" ? String(one) : one)) ?? "";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
};
const plain = ({ time, level, task_id, message, fields }) =>
  [time, level.toUpperCase(), task_id ?? "run", message, ...Object.entries(fields ?? {}).map(([name, value]) => `${name}=${short(value)}`)].join(" ");

function filtered(logs, { selected, level, text }) {
  const least = levelOf(level);
  const wanted = text.toLowerCase();
  return logs.filter((line) => levelOf(line.level) >= least && (!selected || line.task_id === selected || line.task === selected)
    && (!wanted || `${line.message} ${line.task_id ?? ""}`.toLowerCase().includes(wanted)));
}
