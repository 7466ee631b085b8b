// A canvas with a graph: pan, zoom, minimap, and what is under the pointer.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./ui.js";
import { drawGraph, drawMinimap } from "./graph_draw.js";
import { fitted, palette, whenColorsChange } from "./palette.js";

const MOST = 2.5;
const MAP = { width: 168, height: 104 };
const NOTHING = new Set();

/** `state.tasks` has the colours; without runs, `{tasks: {}}`. */
export function GraphView({ layout, state, selected = null, select, critical = NOTHING, label }) {
  const canvas = useRef(null);
  const map = useRef(null);
  const view = useRef({ x: 0, y: 0, scale: 1, isMoved: false });
  const scene = useRef({});
  scene.current = { layout, state, selected, critical };
  const [needsMap, setNeedsMap] = useState(false);

  const draw = () => {
    const box = canvas.current;
    if (!box?.clientWidth) return;
    if (!view.current.isMoved) view.current = fit(layout, box);
    const { context, width, height } = fitted(box);
    const now = { ...scene.current, view: view.current, width, height, colors: palette() };
    drawGraph(context, now);
    const isLarge = layout.width * view.current.scale > width + 4 || layout.height * view.current.scale > height + 4;
    if (isLarge !== needsMap) setNeedsMap(isLarge);
    if (isLarge && map.current) {
      const small = fitted(map.current);
      drawMinimap(small.context, { ...now, width: small.width, height: small.height, sight: { width, height } });
    }
  };
  const drawSoon = useOnce(draw);
  useLayoutEffect(() => drawSoon());
  useEffect(() => {
    const watch = new ResizeObserver(drawSoon);
    watch.observe(canvas.current);
    const forget = whenColorsChange(drawSoon);
    return () => {
      watch.disconnect();
      forget();
    };
  }, []);
  useEffect(() => {
    view.current.isMoved = false;
  }, [layout]);
  useEffect(() => reveal(layout.byId.get(selected), canvas.current, view.current) && drawSoon(), [selected, layout]);

  const move = (x, y) => {
    Object.assign(view.current, { x: view.current.x + x, y: view.current.y + y, isMoved: true });
    drawSoon();
  };
  const zoom = (factor, at = { x: canvas.current.clientWidth / 2, y: canvas.current.clientHeight / 2 }) => {
    const { x, y, scale } = view.current;
    const least = Math.min(fit(layout, canvas.current).scale, 0.3);
    const next = Math.max(least, Math.min(MOST, scale * factor));
    view.current = { scale: next, x: at.x - ((at.x - x) * next) / scale, y: at.y - ((at.y - y) * next) / scale, isMoved: true };
    drawSoon();
  };
  const whole = () => {
    view.current.isMoved = false;
    drawSoon();
  };
  usePointer(canvas, { move, zoom, pick: (point) => select?.(nodeAt(layout, view.current, point)?.id ?? null), hover: (point) => Boolean(nodeAt(layout, view.current, point)) });
  const onKeyDown = (event) => {
    const act = { ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
      "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: whole }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  const jump = (event) => jumpTo(event, layout, canvas.current, view.current) || drawSoon();
  return html`<div class="graph-view">
    <canvas ref=${canvas} tabindex="0" role="img" aria-label=${label} onKeyDown=${onKeyDown}></canvas>
    <div class="zoom" role="group" aria-label="Zoom"><button aria-label="Zoom in" onClick=${() => zoom(1.25)}>+</button><button aria-label="Zoom out" onClick=${() => zoom(0.8)}>−</button><button aria-label="Fit the whole graph" title="Fit" onClick=${whole}>⤢</button></div>
    ${needsMap && html`<canvas class="minimap" ref=${map} width=${MAP.width} height=${MAP.height} aria-hidden="true" onPointerDown=${jump} onPointerMove=${(event) => event.buttons && jump(event)}></canvas>`}
  </div>`;
}

/** Called any number of times, it draws once in the next frame. */
function useOnce(draw) {
  const latest = useRef(draw);
  latest.current = draw;
  const planned = useRef(0);
  useEffect(() => () => cancelAnimationFrame(planned.current), []);
  return useRef(() => {
    cancelAnimationFrame(planned.current);
    planned.current = requestAnimationFrame(() => latest.current());
  }).current;
}

/** The whole graph in the middle; a small one is not made larger, a huge one stays readable at its beginning. */
function fit(layout, box) {
  const margin = 28;
  const whole = Math.min((box.clientWidth - margin * 2) / layout.width, (box.clientHeight - margin * 2) / layout.height);
  const scale = Math.min(1.15, Math.max(whole, 0.02));
  return { scale, x: (box.clientWidth - layout.width * scale) / 2, y: (box.clientHeight - layout.height * scale) / 2, isMoved: false };
}

/** Moves the view so that a node is in sight. Returns whether it has. */
function reveal(node, box, view) {
  if (!node || !box?.clientWidth || !view.isMoved) return false;
  const x = node.x * view.scale + view.x;
  const y = node.y * view.scale + view.y;
  if (x >= 0 && y >= 0 && x + node.width * view.scale <= box.clientWidth && y + node.height * view.scale <= box.clientHeight) return false;
  view.x += box.clientWidth / 2 - x - (node.width * view.scale) / 2;
  view.y += box.clientHeight / 2 - y - (node.height * view.scale) / 2;
  return true;
}

function nodeAt({ nodes }, view, point) {
  const x = (point.x - view.x) / view.scale;
  const y = (point.y - view.y) / view.scale;
  return nodes.find((node) => x >= node.x && x <= node.x + node.width && y >= node.y && y <= node.y + node.height);
}

function jumpTo(event, layout, box, view) {
  const { left, top, width, height } = event.currentTarget.getBoundingClientRect();
  const scale = Math.min(width / layout.width, height / layout.height);
  const x = (event.clientX - left - (width - layout.width * scale) / 2) / scale;
  const y = (event.clientY - top - (height - layout.height * scale) / 2) / scale;
  Object.assign(view, { x: box.clientWidth / 2 - x * view.scale, y: box.clientHeight / 2 - y * view.scale, isMoved: true });
}

/** Drag to pan, wheel and two fingers to zoom, a click to pick. */
function usePointer(canvas, actions) {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const box = canvas.current;
    const down = new Map();
    let moved = 0;
    const place = (event) => ({ x: event.offsetX, y: event.offsetY });
    const span = () => {
      const [one, other] = [...down.values()];
      return { size: Math.hypot(one.x - other.x, one.y - other.y) || 1, x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
    };
    const on = {
      pointerdown(event) {
        box.setPointerCapture(event.pointerId);
        down.set(event.pointerId, place(event));
        moved = 0;
      },
      pointermove(event) {
        const was = down.get(event.pointerId);
        const now = place(event);
        if (!was) {
          box.style.cursor = latest.current.hover(now) ? "pointer" : "grab";
          return;
        }
        const before = down.size === 2 && span();
        down.set(event.pointerId, now);
        moved += Math.abs(now.x - was.x) + Math.abs(now.y - was.y);
        if (before) latest.current.zoom(span().size / before.size, span());
        else if (moved > 3) latest.current.move(now.x - was.x, now.y - was.y);
      },
      pointerup(event) {
        const isClick = down.size === 1 && moved <= 3;
        down.delete(event.pointerId);
        if (isClick) latest.current.pick(place(event));
      },
      pointercancel: (event) => down.delete(event.pointerId),
      wheel(event) {
        event.preventDefault();
        latest.current.zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 240), place(event));
      },
    };
    for (const [type, call] of Object.entries(on)) box.addEventListener(type, call, { passive: false });
    return () => {
      for (const [type, call] of Object.entries(on)) box.removeEventListener(type, call);
    };
  }, []);
}
