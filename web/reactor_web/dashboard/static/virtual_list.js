// A list of which only the rows in sight are elements: a hundred thousand lines cost as much as forty.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./ui.js";

const SPARE = 8;

/**
 * `height` is that of a row in pixels, `render(index)` makes one. `follows`: it stays at the end while more comes, until
 * somebody scrolls up. `at`: the row that is to be in sight.
 */
export function VirtualList({ count, height, render, label, follows = false, at, onKeyDown, role = "list", empty }) {
  const box = useRef(null);
  const atEnd = useRef(true);
  const [view, setView] = useState({ top: 0, size: 600 });
  const look = () => {
    if (!box.current) return; // told once more while it goes
    const { scrollTop, clientHeight, scrollHeight } = box.current;
    atEnd.current = scrollTop + clientHeight >= scrollHeight - height * 2;
    const top = Math.floor(scrollTop / height);
    setView((was) => (was.top === top && was.size === clientHeight ? was : { top, size: clientHeight }));
  };
  useEffect(() => {
    const watch = new ResizeObserver(look);
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (follows && atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [count, follows]);
  useEffect(() => {
    if (at === undefined || at < 0 || !box.current) return;
    const { scrollTop, clientHeight } = box.current;
    if (at * height < scrollTop || (at + 1) * height > scrollTop + clientHeight) box.current.scrollTop = at * height - clientHeight / 2;
  }, [at]);
  const first = Math.max(0, Math.min(view.top - SPARE, count - 1));
  const last = Math.min(count, view.top + Math.ceil(view.size / height) + SPARE);
  const rows = [];
  for (let index = first; index < last; index += 1) rows.push(render(index));
  return html`<div class="virtual" ref=${box} tabindex="0" aria-label=${label} role="region" onScroll=${look} onKeyDown=${onKeyDown}>
    ${!count && empty}
    <div class="virtual-all" role=${count ? role : undefined} style=${{ height: `${count * height}px` }}>
      <div class="virtual-seen" role="presentation" style=${{ transform: `translateY(${first * height}px)` }}>${rows}</div>
    </div>
  </div>`;
}
