// Where the parts of a graph are drawn. Pure: a worker calls it, since a large graph takes a second.

import dagre from "./dagre.esm.js";

/** @typedef {{id: string, name: string, type: string, status: string}} Reference */
/** @typedef {Reference & {members: Reference[]}} Node a node, of several assets if they are alike */
/** @typedef {{source: string, target: string}} Edge */

export const NODE = { width: 216, height: 44 };
const ALIKE = 6;

/**
 * Fold assets of one type and status that have the same neighbours into one node, if they are many:
 * 300 bots at one exchange are one picture, and 300 lines are none. A node in `open` stays unfolded.
 * @param {Reference[]} nodes
 * @param {Edge[]} edges
 * @param {Set<string>} open ids of first members, and of assets that must be seen
 * @returns {{nodes: Node[], edges: Edge[]}}
 */
export function fold(nodes, edges, open) {
  /** @type {Map<string, string[]>} */
  const around = new Map(nodes.map(({ id }) => [id, []]));
  for (const { source, target } of edges) {
    around.get(source)?.push(`>${target}`);
    around.get(target)?.push(`<${source}`);
  }
  /** @type {Map<string, Reference[]>} */
  const groups = new Map();
  for (const node of nodes) {
    const neighbours = (around.get(node.id) ?? []).sort();
    const likeness = JSON.stringify([node.type, node.status, neighbours]);
    groups.set(likeness, [...groups.get(likeness) ?? [], node]);
  }
  /** @type {Node[]} */
  const folded = [...groups.values()].flatMap((members) =>
    members.length < ALIKE || members.some(({ id }) => open.has(id))
      ? members.map((node) => ({ ...node, members: [node] }))
      : [{ ...members[0], members }]);
  const drawn = new Set(folded.map(({ id }) => id));
  return { nodes: folded, edges: edges.filter((edge) => drawn.has(edge.source) && drawn.has(edge.target)) };
}

/**
 * Lay out a graph in layers, from what depends on the left to what is needed on the right.
 * @param {{id: string}[]} nodes
 * @param {Edge[]} edges
 */
export function layout(nodes, edges) {
  const graph = new dagre.graphlib.Graph();
  // The default, network-simplex, takes six times as long for 500 assets.
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 70, marginx: 8, marginy: 8, ranker: "tight-tree" });
  for (const { id } of nodes) graph.setNode(id, { ...NODE });
  for (const { source, target } of edges) graph.setEdge(source, target, {});
  dagre.layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  return {
    width: Math.max(width, NODE.width),
    height: Math.max(height, NODE.height),
    places: new Map(nodes.map(({ id }) => [id, graph.node(id)])),
    lines: edges.map((edge) => ({ ...edge, points: graph.edge(edge.source, edge.target).points })),
  };
}
