// When what ran: a bar an attempt, over one axis. Drag to zoom into a range.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../ui.js";
import { Empty } from "../parts.js";
import { AXIS, ROW, drawTimeline, placer } from "../timeline_draw.js";
import { rowsOf, scaleOf } from "../timeline_model.js";
import { fitted, palette, whenColorsChange } from "../palette.js";
import { criticalPath } from "../critical_path.js";
import { graphOf } from "../live_run.js";
import { count, duration } from "../format.js";
import { hasEnded } from "../status.js";

const NOTHING = new Set();

export function Timeline({ run, state, history, selected, select }) {
  const [isFolded, setFolded] = useState(true);
  const [opened, setOpened] = useState(NOTHING);
  const [range, setRange] = useState(null);
  const isOver = hasEnded(state.status);
  const now = isOver || run.at !== null ? history.to : Math.max(history.to, Date.now());
  const rows = useMemo(() => rowsOf(history.bars, { opened }), [history, history.bars.length, opened, isOver]);
  const scale = scaleOf(history.bars, history.from, now, { isFolded });
  const critical = useMemo(() => (isOver ? new Set(criticalPath(state, graphOf({ started: history.started, about: run.about, state }))) : NOTHING), [isOver, history]);
  if (!history.bars.length) return html`<${Empty} title="Nothing has run yet"><p>Each attempt of a task is a bar here.</p><//>`;
  const view = range ?? { from: 0, to: scale.size };
  const scene = { rows, scale, view, critical, now, start: history.from, selected };
  const open = (name) => setOpened(new Set(opened.has(name) ? [...opened].filter((one) => one !== name) : [...opened, name]));
  const maps = [...new Set(history.bars.filter((bar) => bar.map_index !== undefined).map((bar) => bar.name))];
  return html`<div class="timeline-tab">
    <div class="bar-of-tab">
      <span class="dim">${count(history.bars.length)} attempts in ${duration(now - history.from)}</span>
      <label class="check"><input type="checkbox" checked=${isFolded} onChange=${() => setFolded(!isFolded)} /> Fold idle time</label>
      ${maps.slice(0, 4).map((name) => html`<label class="check" key=${name}><input type="checkbox" checked=${opened.has(name)} onChange=${() => open(name)} /> Each item of ${name}</label>`)}
      ${range ? html`<button onClick=${() => setRange(null)}>Whole run</button>` : html`<span class="dim hint">drag to zoom</span>`}
      <span class="legend"><i class="hatched" aria-hidden="true"></i>waits <i class="dashed" aria-hidden="true"></i>before a retry ${critical.size > 1 && html`<i class="thick" aria-hidden="true"></i>critical path`}</span>
    </div>
    <${Chart} scene=${scene} select=${select} zoom=${setRange} />
  </div>`;
}

function Chart({ scene, select, zoom }) {
  const canvas = useRef(null);
  const box = useRef(null);
  const [drag, setDrag] = useState(null);
  const [hover, setHover] = useState(null);
  const latest = useRef({});
  latest.current = { scene, drag };
  const draw = () => {
    if (!canvas.current?.clientWidth) return;
    const tall = `${box.current.clientHeight}px`; // as tall as what is in sight of it, or it would leave with the last rows
    if (canvas.current.style.height !== tall) canvas.current.style.height = tall;
    const { context, width, height } = fitted(canvas.current);
    const colors = palette();
    drawTimeline(context, { ...latest.current.scene, top: box.current.scrollTop, width, height, colors });
    if (latest.current.drag) {
      const { from, to } = latest.current.drag;
      context.fillStyle = colors.accent;
      context.globalAlpha = 0.15;
      context.fillRect(Math.min(from, to), AXIS, Math.abs(to - from), height);
      context.globalAlpha = 1;
    }
  };
  useLayoutEffect(draw);
  useEffect(() => {
    const watch = new ResizeObserver(draw);
    watch.observe(box.current);
    const forget = whenColorsChange(draw);
    return () => {
      watch.disconnect();
      forget();
    };
  }, []);
  const at = (event) => {
    const { left, top } = canvas.current.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const barAt = (point) => {
    const row = scene.rows[Math.floor((point.y - AXIS + box.current.scrollTop) / ROW)];
    const place = placer({ ...scene, width: canvas.current.clientWidth });
    return point.y < AXIS ? undefined : row?.bars.find((bar) => point.x >= place(bar.from) - 3 && point.x <= Math.max(place(bar.to ?? scene.now), place(bar.from) + 2) + 3);
  };
  const up = (event) => {
    const point = at(event);
    if (drag && Math.abs(point.x - drag.from) > 6) {
      const width = canvas.current.clientWidth;
      const [from, to] = [drag.from, point.x].sort((one, other) => one - other).map((x) => scene.view.from + (x / width) * (scene.view.to - scene.view.from));
      zoom({ from, to });
    } else if (drag) select(barAt(point)?.task ?? null);
    setDrag(null);
  };
  const label = hover && `${hover.task}, attempt ${hover.attempt}: ${hover.status}${hover.to === undefined ? "" : `, ${duration(hover.to - hover.from)}`}${hover.error ? ` · ${hover.error}` : ""}`;
  return html`<div class="timeline" ref=${box} onScroll=${draw} tabindex="0" role="region" aria-label="Timeline of the attempts">
    <div class="timeline-inner" style=${{ height: `${AXIS + scene.rows.length * ROW + 12}px` }}>
      <div class="timeline-names">${scene.rows.map((row) => html`<button key=${row.key} class="link" title=${row.label} aria-pressed=${scene.selected === row.task} onClick=${() => select(row.task)}>${row.label}${row.isMap ? html`<span class="dim"> [ ]</span>` : ""}</button>`)}</div>
      <canvas ref=${canvas} role="img" aria-label="Bars of the attempts; the list of tasks has the same" title=${label ?? ""}
        onPointerDown=${(event) => { canvas.current.setPointerCapture(event.pointerId); setDrag({ from: at(event).x, to: at(event).x }); }}
        onPointerMove=${(event) => { if (drag) setDrag({ ...drag, to: at(event).x }); else setHover(barAt(at(event)) ?? null); }}
        onPointerUp=${up} onPointerCancel=${() => setDrag(null)}></canvas>
    </div>
  </div>`;
}
