// Draws a graph that is laid out: what is in sight, with live colours. Values in, strokes out.
import { fittedText } from "./palette.js";

const FONT = "12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
const SMALL = "11px system-ui, sans-serif";
/** Below this scale names cannot be read, and are not drawn. */
const READABLE = 0.45;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{layout: any, state: any, view: {x: number, y: number, scale: number}, width: number, height: number,
 *   colors: Record<string, string>, selected: string | null, critical: Set<string>}} scene
 */
export function drawGraph(context, scene) {
  const { layout, view } = scene;
  context.save();
  context.translate(view.x, view.y);
  context.scale(view.scale, view.scale);
  const box = { left: -view.x / view.scale, top: -view.y / view.scale, right: (scene.width - view.x) / view.scale, bottom: (scene.height - view.y) / view.scale };
  drawEdges(context, layout, scene, box);
  for (const node of layout.nodes) if (isWithin(node, box)) drawNode(context, node, scene);
  context.restore();
}

const isWithin = (node, box) => node.x < box.right && node.x + node.width > box.left && node.y < box.bottom && node.y + node.height > box.top;

function drawEdges(context, { edges, byId }, { colors, critical, view, selected }, box) {
  const strong = [];
  context.strokeStyle = colors["line-strong"];
  context.lineWidth = Math.max(1, 0.7 / view.scale);
  context.beginPath();
  for (const edge of edges) {
    const from = byId.get(edge.from);
    const to = byId.get(edge.to);
    if (Math.max(from.x, to.x) + 220 < box.left || Math.min(from.x, to.x) > box.right) continue;
    const isStrong = (critical.has(edge.from) && critical.has(edge.to)) || edge.from === selected || edge.to === selected;
    if (isStrong) strong.push([edge, from, to]);
    else trace(context, edge, from, to);
  }
  context.stroke();
  for (const [edge, from, to] of strong) {
    context.strokeStyle = critical.has(edge.from) && critical.has(edge.to) ? colors.text : colors.accent;
    context.lineWidth = Math.max(2, 1.4 / view.scale);
    context.beginPath();
    trace(context, edge, from, to);
    context.stroke();
  }
}

/** From the right side of a node to the left side of the next, round over the points between. */
function trace(context, { points }, from, to) {
  const right = from.x + from.width;
  const inner = points.filter(([x]) => x > right + 8 && x < to.x - 8); // the others turn beside the nodes
  const line = [[right, from.y + from.height / 2], ...inner, [to.x, to.y + to.height / 2]];
  context.moveTo(...line[0]);
  for (let at = 1; at < line.length; at += 1) {
    const [x0, y0] = line[at - 1];
    const [x1, y1] = line[at];
    const middle = (x0 + x1) / 2;
    context.bezierCurveTo(middle, y0, middle, y1, x1, y1);
  }
}

function drawNode(context, node, { state, colors, selected, critical, view }) {
  const task = state.tasks[node.id];
  const status = task?.status ?? "pending";
  const color = colors[status] ?? colors.pending;
  const { x, y, width, height } = node;
  const isFar = view.scale < READABLE;
  context.globalAlpha = status === "skipped" ? 0.6 : 1;
  context.fillStyle = isFar ? color : colors.surface;
  context.beginPath();
  context.roundRect(x, y, width, height, 7);
  context.fill();
  if (isFar) context.globalAlpha = 1;
  context.lineWidth = node.id === selected ? 2.5 / Math.min(1, view.scale) : 1;
  context.strokeStyle = node.id === selected ? colors.accent : critical.has(node.id) ? colors.text : status === "pending" ? colors["line-strong"] : color;
  if (node.kind === "map" && !isFar) drawPile(context, node);
  if (node.kind === "run") context.setLineDash([5, 3]);
  context.stroke();
  context.setLineDash([]);
  if (!isFar) drawWords(context, node, task, status, { color, colors });
  context.globalAlpha = 1;
}

/** A map is many: the edge of another card looks out behind it. */
function drawPile(context, { x, y, width, height }) {
  context.moveTo(x + 8, y + height + 3);
  context.lineTo(x + width - 3, y + height + 3);
  context.quadraticCurveTo(x + width + 3, y + height + 3, x + width + 3, y + height - 5);
  context.lineTo(x + width + 3, y + 8);
}

function drawWords(context, { label, kind, x, y, width, height }, task, status, { color, colors }) {
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(x, y, 5, height, [7, 0, 0, 7]);
  context.fill();
  context.font = FONT;
  context.fillStyle = colors.text;
  context.textBaseline = "middle";
  context.fillText(fittedText(context, label, width - 26), x + 15, y + 16);
  context.font = SMALL;
  context.fillStyle = status === "pending" ? colors.muted : color;
  context.fillText(fittedText(context, task ? sayStatus(task, status) : kind === "map" ? "for each item" : "task", width - 26), x + 15, y + 32);
  const fraction = task?.count ? counts(task).done / task.count : status === "running" ? task.progress ?? 0 : 0;
  if (task?.count !== undefined || fraction > 0) drawBar(context, task, fraction, { x: x + 15, y: y + height - 9, width: width - 28 }, colors);
}

const counts = ({ tally = {} }) => ({ done: Object.values(tally).reduce((sum, one) => sum + one, 0), failed: (tally.failed ?? 0) });

function sayStatus(task, status) {
  if (task.workflow !== undefined) return `run, ${status}`;
  if (task.count === undefined) return task.attempt > 1 ? `${status}, attempt ${task.attempt}` : status;
  const { done, failed } = counts(task);
  return `${done.toLocaleString("en")} / ${task.count.toLocaleString("en")}${failed ? `, ${failed} failed` : ""}`;
}

function drawBar(context, task, fraction, { x, y, width }, colors) {
  context.fillStyle = colors.line;
  context.fillRect(x, y, width, 3);
  const failed = task.count ? counts(task).failed / task.count : 0;
  context.fillStyle = task.count ? colors.completed : colors.running;
  context.fillRect(x, y, width * Math.min(1, fraction), 3);
  context.fillStyle = colors.failed;
  context.fillRect(x, y, width * failed, 3);
}

/** The whole graph, small, with a frame around what is in sight. */
export function drawMinimap(context, { layout, state, view, width, height, colors, sight }) {
  const scale = Math.min(width / layout.width, height / layout.height);
  context.save();
  context.translate((width - layout.width * scale) / 2, (height - layout.height * scale) / 2);
  for (const node of layout.nodes) {
    context.fillStyle = colors[state.tasks[node.id]?.status ?? "pending"];
    context.fillRect(node.x * scale, node.y * scale, Math.max(1.5, node.width * scale), Math.max(1.5, node.height * scale));
  }
  context.strokeStyle = colors.accent;
  context.lineWidth = 1.5;
  context.strokeRect((-view.x / view.scale) * scale, (-view.y / view.scale) * scale, (sight.width / view.scale) * scale, (sight.height / view.scale) * scale);
  context.restore();
  return scale;
}
