// Places the nodes of a graph, away from the page's thread: two thousand take up to a second.
import { dagre } from "./vendor/d3-dag.js";

onmessage = ({ data: { key, nodes, edges } }) => {
  try {
    postMessage({ key, ...place(nodes, edges) });
  } catch (error) {
    postMessage({ key, error: String(error?.message ?? error) });
  }
};

function place(nodes, edges) {
  const graph = new dagre.graphlib.Graph();
  // "medium" takes 40 seconds for two thousand nodes
  graph.setGraph({ rankdir: "LR", nodesep: 18, ranksep: 56, quality: "fast" });
  for (const { id, width, height } of nodes) graph.setNode(id, { width, height });
  for (const [from, to] of edges) graph.setEdge(from, to);
  dagre.layout(graph);
  const { width, height } = graph.graph();
  return {
    width, height,
    nodes: nodes.map(({ id }) => [graph.node(id).x, graph.node(id).y]),
    edges: edges.map(([from, to]) => graph.edge(from, to).points.map(({ x, y }) => [x, y])),
  };
}
