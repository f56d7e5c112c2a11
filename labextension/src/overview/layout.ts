import { Graph, layout } from '@dagrejs/dagre';

/** A node's place: its upper left corner. */
export interface IPlace {
  x: number;
  y: number;
}

/** The drawn graph, in pixels. */
export interface ILayout {
  /** Layers lie below each other, not beside. */
  down: boolean;
  width: number;
  height: number;
  nodes: ReadonlyMap<string, IPlace>;
  /** By `edgeKey`: the points that the edge goes through. */
  edges: ReadonlyMap<string, readonly IPlace[]>;
}

/** The size of a node, in pixels. */
export const NODE = { width: 216, height: 86 };

/** The key of an edge in a layout. */
export function edgeKey(from: string, to: string): string {
  return `${from}\n${to}`;
}

/**
 * Place the nodes in layers, from left to right when that fits into *room*, else from top to bottom.
 *
 * @param room - available width, in pixels
 */
export function layOut(
  names: readonly string[],
  edges: readonly { from: string; to: string }[],
  room: number
): ILayout {
  const across = place(names, edges, 'LR');
  return across.width <= room ? across : place(names, edges, 'TB');
}

function place(
  names: readonly string[],
  edges: readonly { from: string; to: string }[],
  rankdir: 'LR' | 'TB'
): ILayout {
  const graph = new Graph();
  const down = rankdir === 'TB';
  graph.setGraph({ rankdir, nodesep: 20, ranksep: down ? 44 : 72, marginx: 2, marginy: 2 });
  graph.setDefaultEdgeLabel(() => ({}));
  names.forEach(name => graph.setNode(name, { ...NODE }));
  edges.forEach(edge => graph.setEdge(edge.from, edge.to));
  layout(graph);
  const nodes = new Map<string, IPlace>();
  for (const name of names) {
    const { x, y } = graph.node(name) as unknown as IPlace;
    nodes.set(name, { x: Math.round(x - NODE.width / 2), y: Math.round(y - NODE.height / 2) });
  }
  const lines = new Map<string, readonly IPlace[]>();
  for (const edge of edges) {
    const drawn = graph.edge(edge.from, edge.to) as unknown as { points: IPlace[] };
    lines.set(edgeKey(edge.from, edge.to), ends(drawn.points, edge, nodes, down));
  }
  const size = graph.graph() as { width: number; height: number };
  return {
    down,
    width: Math.ceil(size.width),
    height: Math.ceil(size.height),
    nodes,
    edges: lines
  };
}

/** The points of an edge, from the middle of one side to the middle of the opposite one. */
function ends(
  points: readonly IPlace[],
  edge: { from: string; to: string },
  nodes: ReadonlyMap<string, IPlace>,
  down: boolean
): IPlace[] {
  const from = nodes.get(edge.from)!;
  const to = nodes.get(edge.to)!;
  const start = down
    ? { x: from.x + NODE.width / 2, y: from.y + NODE.height }
    : { x: from.x + NODE.width, y: from.y + NODE.height / 2 };
  const end = down ? { x: to.x + NODE.width / 2, y: to.y } : { x: to.x, y: to.y + NODE.height / 2 };
  return [start, ...points.slice(1, -1), end];
}

/** A smooth SVG path through points. */
export function curve(points: readonly IPlace[], down: boolean): string {
  const parts = [`M${points[0].x},${points[0].y}`];
  for (let index = 1; index < points.length; index += 1) {
    const a = points[index - 1];
    const b = points[index];
    const bend = down
      ? `${a.x},${(a.y + b.y) / 2} ${b.x},${(a.y + b.y) / 2}`
      : `${(a.x + b.x) / 2},${a.y} ${(a.x + b.x) / 2},${b.y}`;
    parts.push(`C${bend} ${b.x},${b.y}`);
  }
  return parts.join(' ');
}
