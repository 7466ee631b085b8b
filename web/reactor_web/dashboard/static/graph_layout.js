// Where the nodes of a graph stand: asked of a worker once for each graph, and kept.

const KEPT = 12;
/** Milliseconds that a layout may take: edges over hundreds of layers take minutes. Then the graph stands in columns. */
const PATIENCE = 8_000;
const COLUMN = 280;
const LINE = 72;
export const HEIGHT = 44;

/** @type {Map<string, Promise<any>>} */
const layouts = new Map();
const waiting = new Map();
let worker;

/** What is placed: `{nodes: [{id, width, height}], edges: [[from, to]]}` of the tasks of a run. */
export function shapeOf(tasks) {
  const known = new Set(tasks.map((task) => task.id));
  const nodes = tasks.map(({ id, kind, label = id }) => {
    return { id, kind, label, width: Math.max(144, Math.min(224, 48 + label.length * 7.3)), height: kind === "map" ? 56 : HEIGHT };
  });
  const edges = tasks.flatMap(({ id, depends_on = [] }) => depends_on.filter((one) => known.has(one)).map((one) => [one, id]));
  return { nodes, edges };
}

/** A text that two graphs share only if they are the same. */
export const keyOf = ({ nodes, edges }) => JSON.stringify([nodes.map(({ id, kind }) => [id, kind]), edges]);

/** `{nodes: [{id, kind, x, y, width, height}], edges: [{from, to, points}], byId, width, height}` */
export function layoutOf(shape, key) {
  const known = layouts.get(key);
  if (known) return known;
  const layout = ask(key, shape).then((placed) => together(shape, placed));
  layouts.set(key, layout);
  layout.catch(() => layouts.delete(key));
  if (layouts.size > KEPT) layouts.delete(layouts.keys().next().value);
  return layout;
}

function ask(key, shape) {
  worker ??= begin();
  const asked = worker;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      asked.terminate();
      if (worker === asked) worker = undefined;
      resolve(inColumns(shape));
    }, PATIENCE);
    const settled = (settle) => (value) => {
      clearTimeout(timer);
      settle(value);
    };
    waiting.set(key, { resolve: settled(resolve), reject: settled(reject) });
    worker.postMessage({ key, ...shape });
  });
}

/** Each node in the column behind those of its upstreams, which stand before it in the list. */
export function inColumns({ nodes, edges }) {
  const column = new Map(nodes.map(({ id }) => [id, 0]));
  const upstreams = Map.groupBy(edges, ([, to]) => to);
  const filled = [];
  const places = new Map();
  for (const { id } of nodes) {
    const at = Math.max(-1, ...(upstreams.get(id) ?? []).map(([from]) => column.get(from))) + 1;
    column.set(id, at);
    filled[at] = (filled[at] ?? 0) + 1;
    places.set(id, [at * COLUMN + COLUMN / 2, filled[at] * LINE - LINE / 2]);
  }
  return {
    width: filled.length * COLUMN, height: Math.max(1, ...filled) * LINE,
    nodes: nodes.map(({ id }) => places.get(id)),
    edges: edges.map(([from, to]) => [places.get(from), places.get(to)]),
  };
}

function begin() {
  const made = new Worker(new URL("./layout_worker.js", import.meta.url), { type: "module" });
  made.onmessage = ({ data }) => {
    const asked = waiting.get(data.key);
    waiting.delete(data.key);
    if (data.error) asked?.reject(new Error(`the graph cannot be drawn: ${data.error}`));
    else asked?.resolve(data);
  };
  made.onerror = () => {
    for (const { reject } of waiting.values()) reject(new Error("the graph cannot be drawn: its worker does not start"));
    waiting.clear();
    worker = undefined;
  };
  return made;
}

function together({ nodes, edges }, placed) {
  const made = nodes.map((node, at) => ({ ...node, x: placed.nodes[at][0] - node.width / 2, y: placed.nodes[at][1] - node.height / 2 }));
  return {
    nodes: made,
    edges: edges.map(([from, to], at) => ({ from, to, points: placed.edges[at] })),
    byId: new Map(made.map((node) => [node.id, node])),
    width: placed.width, height: placed.height,
  };
}
