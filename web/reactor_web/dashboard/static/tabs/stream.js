// The text that tasks stream, as it comes.
import { html, useLayoutEffect, useRef } from "../ui.js";
import { Copy, Empty } from "../parts.js";
import { Name, Status } from "../status.js";
import { count } from "../format.js";

const MOST_SHOWN = 100_000;

export function Stream({ state, chunks, selected, select }) {
  const ids = Object.keys(chunks).filter((id) => chunks[id].text).filter((id) => !selected || id === selected || state.tasks[id]?.task === selected);
  if (!ids.length) return html`<${Empty} title="No text is streamed"><p>What a body says with <code>ctx.chunk(text)</code> comes here, token by token.</p><//>`;
  return html`<div class="stream-tab">${ids.slice(0, 50).map((id) => html`<${Text} key=${id} id=${id} task=${state.tasks[id]} text=${chunks[id].text} select=${select} />`)}</div>`;
}

function Text({ id, task, text, select }) {
  const box = useRef(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    if (atEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text]);
  const look = () => {
    const { scrollTop, clientHeight, scrollHeight } = box.current;
    atEnd.current = scrollTop + clientHeight >= scrollHeight - 30;
  };
  return html`<article class="text"><header><button class="link mono" onClick=${() => select(id)}><${Name}>${id}<//></button>${task && html`<${Status} status=${task.status} />`}<span class="dim num">${count(text.length)} characters</span><${Copy} text=${() => text} /></header>
    <pre ref=${box} onScroll=${look} tabindex="0" aria-label=${`Text of ${id}`}>${text.length > MOST_SHOWN ? `…${text.slice(-MOST_SHOWN)}` : text}${task?.status === "running" && html`<i class="caret" aria-hidden="true"></i>`}</pre></article>`;
}
