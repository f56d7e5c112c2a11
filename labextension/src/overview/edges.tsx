import * as React from 'react';

import { IGraphEdge } from './graphModel';
import type * as Layouts from './layout';

/** A line from a stage to one that waits for it. */
export function Edge(props: {
  edge: IGraphEdge;
  layout: Layouts.ILayout;
  layouts: typeof Layouts;
  active: boolean;
  done: boolean;
  point: (over: boolean) => void;
}): React.ReactElement | null {
  const { edge, layout, layouts, active, done, point } = props;
  const points = layout.edges.get(layouts.edgeKey(edge.from, edge.to)) ?? [];
  if (points.length < 2) {
    return null;
  }
  const path = layouts.curve(points, layout.down);
  const end = points[points.length - 1];
  const arrow = layout.down ? 'm-4,-7 l4,7 l4,-7' : 'm-7,-4 l7,4 l-7,4';
  const classes = [active && 'jp-mod-active', done && 'jp-mod-done'].filter(Boolean).join(' ');
  return (
    <g
      className={`jp-Himalia-edge ${classes}`}
      onPointerEnter={() => point(true)}
      onPointerLeave={() => point(false)}
    >
      <path className="jp-Himalia-edgeReach" d={path} />
      <path className="jp-Himalia-edgeLine" d={path} />
      <path className="jp-Himalia-edgeLine" d={`M${end.x},${end.y} ${arrow}`} />
    </g>
  );
}

/** The files that go along an edge, at its middle. */
export function EdgeName(props: {
  files: readonly string[];
  points: readonly Layouts.IPlace[];
}): React.ReactElement | null {
  const names = props.files.map(file => file.replace(/\/+$/, '').split('/').pop() ?? file);
  if (props.points.length < 2 || names.length === 0) {
    return null;
  }
  const { x, y } = centre(props.points);
  return (
    <text x={x} y={y + 4} textAnchor="middle">
      {names.length > 2 ? `${names[0]} +${names.length - 1}` : names.join(', ')}
    </text>
  );
}

function centre(points: readonly Layouts.IPlace[]): Layouts.IPlace {
  const a = points[Math.floor((points.length - 1) / 2)];
  const b = points[Math.ceil((points.length - 1) / 2)];
  if (points.length > 2) {
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  }
  return { x: (points[0].x + points[1].x) / 2, y: (points[0].y + points[1].y) / 2 };
}
