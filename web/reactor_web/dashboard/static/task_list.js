// The tasks of a run as a list: what the graph shows, for the keyboard.
import { html, useMemo, useState } from "./ui.js";
import { Name, Sign } from "./status.js";
import { VirtualList } from "./virtual_list.js";
import { count, duration } from "./format.js";

const ROW = 30;

export function TaskList({ tasks, state, selected, select, critical }) {
  const [text, setText] = useState("");
  const wanted = text.toLowerCase();
  const shown = useMemo(() => tasks.filter(({ id }) => `${id} ${state.tasks[id]?.status ?? "pending"}`.toLowerCase().includes(wanted)), [tasks, wanted, wanted && state.seq]);
  const at = shown.findIndex(({ id }) => id === (state.tasks[selected]?.task ?? selected));
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || !shown.length) return;
    event.preventDefault();
    select(shown[Math.max(0, Math.min(shown.length - 1, at + step))].id);
  };
  const row = (index) => {
    const { id } = shown[index];
    const task = state.tasks[id];
    return html`<div key=${id} role="listitem"><button class="task-row" tabindex="-1" aria-current=${index === at} onClick=${() => select(id)}>
      <${Sign} status=${task?.status ?? "pending"} /><span class="offscreen">${task?.status ?? "pending"}</span><span class=${critical.has(id) ? "critical" : ""}><${Name} most=${26}>${id}<//></span>
      <span class="num dim">${task?.count !== undefined ? `×${count(task.count)}` : task?.duration_ms !== undefined ? duration(task.duration_ms) : ""}</span></button></div>`;
  };
  return html`<div class="task-list">
    <input type="search" placeholder=${`Filter ${count(tasks.length)} tasks`} aria-label="Filter tasks" value=${text} onInput=${(event) => setText(event.target.value)} />
    <${VirtualList} count=${shown.length} height=${ROW} render=${row} label="Tasks" at=${at < 0 ? undefined : at} onKeyDown=${move} empty=${html`<p class="dim pad">no task fits</p>`} />
  </div>`;
}
