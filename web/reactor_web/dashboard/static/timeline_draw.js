// Draws the timeline: a bar an attempt, hatched where it waited. Only the rows in sight.
import { duration } from "./format.js";
import { stepFor } from "./timeline_model.js";

export const ROW = 26;
export const AXIS = 26;
const BAR = 16;
const FONT = "11px system-ui, sans-serif";

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{rows: any[], scale: any, view: {from: number, to: number}, top: number, width: number, height: number,
 *   colors: Record<string, string>, selected: string | null, critical: Set<string>, now: number, start: number}} scene
 */
export function drawTimeline(context, scene) {
  const place = placer(scene);
  drawGrid(context, scene, place);
  const first = Math.max(0, Math.floor(scene.top / ROW));
  const last = Math.min(scene.rows.length, Math.ceil((scene.top + scene.height) / ROW) + 1);
  context.save();
  context.beginPath();
  context.rect(0, AXIS, scene.width, scene.height);
  context.clip();
  for (let index = first; index < last; index += 1) drawRow(context, scene, place, index);
  drawFolds(context, scene, place);
  context.restore();
}

/** Time -> pixels, for the range that is in sight. */
export const placer = ({ scale, view, width }) => {
  const size = view.to - view.from;
  return (time) => ((scale.to(time) - view.from) / size) * width;
};

function drawGrid(context, { scale, view, width, height, colors, start }, place) {
  context.font = FONT;
  context.textBaseline = "middle";
  context.strokeStyle = colors.line;
  context.lineWidth = 1;
  const from = scale.from(view.from);
  const to = scale.from(view.to);
  const step = stepFor(to - from, Math.max(2, width / 110));
  let busyUntil = -Infinity;
  for (let at = Math.ceil((from - start) / step) * step; at <= to - start; at += step) {
    const x = Math.round(place(start + at)) + 0.5;
    const label = at <= 0 ? "0" : duration(at);
    if (x < busyUntil) continue;
    context.beginPath();
    context.moveTo(x, AXIS - 4);
    context.lineTo(x, height);
    context.stroke();
    const size = context.measureText(label).width;
    if (x + size + 4 > width) continue;
    context.fillStyle = colors.muted;
    context.fillText(label, x + 4, AXIS / 2);
    busyUntil = x + size + 12;
  }
}

function drawRow(context, scene, place, index) {
  const { rows, top, colors, selected, critical, now, width } = scene;
  const row = rows[index];
  const y = AXIS + index * ROW - top + (ROW - BAR) / 2;
  const isCritical = critical.has(row.task) && !row.isMap;
  let before;
  for (const bar of row.bars) {
    const x = place(bar.from);
    const end = Math.max(x + 2, place(bar.to ?? now));
    if (before && before.task === bar.task) drawRetry(context, colors, place(before.to), x, y + BAR / 2);
    before = bar;
    if (end < 0 || x > width) continue;
    drawBar(context, { bar, x, end, y, place, now, colors });
    if (isCritical) {
      context.fillStyle = colors.text;
      context.fillRect(x, y + BAR + 1, end - x, 2);
    }
    if (bar.task === selected) {
      context.strokeStyle = colors.accent;
      context.lineWidth = 2;
      context.strokeRect(x - 2, y - 2, end - x + 4, BAR + 4);
    }
  }
}

function drawBar(context, { bar, x, end, y, place, now, colors }) {
  const color = colors[bar.status] ?? colors.pending;
  context.fillStyle = color;
  context.globalAlpha = bar.status === "lost" ? 0.45 : 1;
  context.beginPath();
  context.roundRect(x, y, end - x, BAR, Math.min(4, (end - x) / 2));
  context.fill();
  context.globalAlpha = 1;
  for (const wait of bar.waits) drawWait(context, { from: place(wait.from), to: place(wait.to ?? bar.to ?? now), y, color: colors.waiting, under: colors.surface });
  const label = `${bar.attempt > 1 ? `${bar.attempt} · ` : ""}${bar.to === undefined ? "" : duration(bar.to - bar.from)}`;
  context.font = FONT;
  const room = end - Math.max(x, 0) - 10;
  if (room > 24 && !bar.waits.length && context.measureText(label).width <= room) {
    context.fillStyle = colors.surface;
    context.fillText(label, Math.max(x, 0) + 6, y + BAR / 2 + 1);
  }
}

/** Waiting is an outline with stripes: nothing worked. */
function drawWait(context, { from, to, y, color, under }) {
  if (to - from < 1) return;
  context.fillStyle = under;
  context.fillRect(from, y + 1, to - from, BAR - 2);
  context.save();
  context.beginPath();
  context.rect(from, y, to - from, BAR);
  context.clip();
  context.strokeStyle = color;
  context.lineWidth = 1.5;
  context.beginPath();
  for (let x = Math.max(from, 0) - BAR; x < Math.min(to, 20_000); x += 7) {
    context.moveTo(x, y + BAR);
    context.lineTo(x + BAR, y);
  }
  context.stroke();
  context.strokeRect(from + 0.75, y + 0.75, to - from - 1.5, BAR - 1.5);
  context.restore();
}

/** Between two attempts: a thin line, for nobody worked then. */
function drawRetry(context, colors, from, to, y) {
  context.strokeStyle = colors.retrying;
  context.lineWidth = 1;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(from, y);
  context.lineTo(to, y);
  context.stroke();
  context.setLineDash([]);
}

function drawFolds(context, { scale, height, colors }, place) {
  for (const fold of scale.folds) {
    const x = place(fold.from);
    const size = place(fold.to) - x;
    context.fillStyle = colors.raised;
    context.fillRect(x, AXIS, size, height);
    context.strokeStyle = colors["line-strong"];
    context.lineWidth = 1;
    context.setLineDash([2, 4]);
    context.strokeRect(x + 0.5, AXIS - 1, size - 1, height + 4);
    context.setLineDash([]);
    context.save();
    context.translate(x + size / 2, AXIS + 8);
    context.rotate(Math.PI / 2);
    context.fillStyle = colors.muted;
    context.font = FONT;
    context.textBaseline = "middle";
    if (size > 12) context.fillText(`${duration(fold.to - fold.from)} idle`, 0, 0);
    context.restore();
  }
}
