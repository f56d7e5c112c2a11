import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Stage } from '../api/types';
import { IconButton } from '../components';
import { Edge, EdgeName } from '../overview/edges';
import { graphEdges } from '../overview/graphModel';
import { useLayouts, useSize } from '../overview/hooks';
import type * as Layouts from '../overview/layout';
import { DagNode } from './dagNode';
import { fit, isArrow, neighbour, step } from './geometry';
import { fitIcon, nearerIcon, fartherIcon } from './dagIcons';
import { inOrder, IStageRow } from './rows';

interface IDagProps {
  rows: readonly IStageRow[];
  selected: string | null;
  select: (stage: string) => void;
  /** Enter: to the details. */
  enter: () => void;
  /** Have one stage wait for another; null: nobody may. */
  connect: ((from: string, to: string) => void) | null;
  trans: TranslationBundle;
}

/** Pixels around the graph. */
const MARGIN = 24;

/** The pipeline as a graph in which one goes from stage to stage, and draws edges. */
export function Dag(props: IDagProps): React.ReactElement {
  const { rows, trans } = props;
  const frame = React.useRef<HTMLDivElement>(null);
  const room = useSize(frame);
  const layouts = useLayouts();
  const [chosen, choose] = React.useState<number | null>(null);
  // other objects come with every answer: the layout follows from names and edges alone
  const shape = JSON.stringify(rows.map(({ stage }) => [stage.name, stage.waits_for]));
  const stages = rows.map(({ stage }) => stage);
  const layout = useLayout(layouts, stages, shape, room.width - 2 * MARGIN);
  const inside = { width: room.width - 2 * MARGIN, height: room.height - 2 * MARGIN };
  const zoom = chosen ?? (layout ? fit(layout, inside) : 1);
  return (
    <div className="jp-Himalia-dag">
      <div className="jp-Himalia-dagTools" role="toolbar" aria-label={trans.__('Zoom')}>
        <IconButton
          icon={fartherIcon}
          label={trans.__('Smaller')}
          onClick={() => choose(step(zoom, -1))}
        />
        <IconButton
          icon={nearerIcon}
          label={trans.__('Larger')}
          onClick={() => choose(step(zoom, 1))}
        />
        <IconButton icon={fitIcon} label={trans.__('All of it')} onClick={() => choose(null)} />
      </div>
      <div className="jp-Himalia-dagFrame" ref={frame}>
        {layouts && layout ? (
          <Canvas {...props} stages={stages} layouts={layouts} layout={layout} zoom={zoom} />
        ) : (
          <div aria-busy="true" />
        )}
      </div>
    </div>
  );
}

function useLayout(
  layouts: typeof Layouts | null,
  stages: readonly Stage[],
  shape: string,
  width: number
): Layouts.ILayout | null {
  const [made, setMade] = React.useState<{ key: string; layout: Layouts.ILayout } | null>(null);
  const key = `${shape} ${Math.round(width / 50)}`;
  if (layouts && width > 0 && made?.key !== key) {
    const names = inOrder(stages).map(({ name }) => name);
    const layout = layouts.layOut(names, graphEdges({ stages }), width);
    setMade({ key, layout });
    return layout;
  }
  return made?.layout ?? null;
}

interface ICanvasProps extends IDagProps {
  stages: readonly Stage[];
  layouts: typeof Layouts;
  layout: Layouts.ILayout;
  zoom: number;
}

function Canvas(props: ICanvasProps): React.ReactElement {
  const { rows, stages, layouts, layout, zoom, selected, select, enter, connect, trans } = props;
  const canvas = React.useRef<HTMLDivElement>(null);
  const [pointed, point] = React.useState<string | null>(null);
  const line = useLine(canvas, zoom, connect);
  const edges = graphEdges({ stages });
  const keyOf = (edge: { from: string; to: string }) => layouts.edgeKey(edge.from, edge.to);
  const isActive = (edge: { from: string; to: string }) =>
    [edge.from, edge.to, keyOf(edge)].includes(pointed ?? selected ?? '');
  const size = { width: layout.width, height: layout.height };
  const focus = (name: string) =>
    canvas.current?.querySelector<HTMLElement>(`[data-stage="${name}"] .jp-Himalia-node`)?.focus();
  const onKeyDown = (event: React.KeyboardEvent, name: string) => {
    if (isArrow(event.key)) {
      const next = neighbour(layout.nodes, name, event.key);
      if (next !== null) {
        select(next);
        focus(next);
      }
      event.preventDefault();
    } else if (event.key === 'Enter') {
      select(name);
      enter();
      event.preventDefault();
    }
  };
  const first = rows.some(({ stage }) => stage.name === selected)
    ? selected
    : (rows[0]?.stage.name ?? null);
  return (
    <div style={{ width: size.width * zoom, height: size.height * zoom }}>
      <div
        ref={canvas}
        className="jp-Himalia-graphCanvas"
        style={{ ...size, transform: `scale(${zoom})` }}
      >
        <svg {...size} aria-hidden="true">
          {edges.map(edge => (
            <Edge
              key={keyOf(edge)}
              edge={edge}
              layout={layout}
              layouts={layouts}
              active={isActive(edge)}
              done={false}
              point={over => point(over ? keyOf(edge) : null)}
            />
          ))}
        </svg>
        <ol role="list" aria-label={trans.__('Stages')}>
          {rows.map(row => {
            const { name } = row.stage;
            const place = layout.nodes.get(name);
            return (
              <li
                key={name}
                data-stage={name}
                style={{ left: place?.x, top: place?.y, ...layouts.NODE }}
                onPointerEnter={() => point(name)}
                onPointerLeave={() => point(null)}
              >
                <DagNode
                  row={row}
                  selected={name === selected}
                  reachable={name === first}
                  target={line.over === name && line.from !== name}
                  onClick={() => select(name)}
                  onKeyDown={event => onKeyDown(event, name)}
                  trans={trans}
                />
                {connect && (
                  <span
                    className={`jp-Himalia-handle${layout.down ? ' jp-mod-down' : ''}`}
                    title={trans.__('Drag to a stage that has to wait for %1', name)}
                    data-handle={name}
                    onPointerDown={event => line.begin(event, name)}
                  />
                )}
              </li>
            );
          })}
        </ol>
        <svg {...size} className="jp-Himalia-edgeNames" aria-hidden="true">
          {edges.filter(isActive).map(edge => (
            <EdgeName
              key={keyOf(edge)}
              files={edge.files}
              points={layout.edges.get(keyOf(edge)) ?? []}
            />
          ))}
          {line.points && <path className="jp-Himalia-newEdge" d={line.points} />}
        </svg>
      </div>
    </div>
  );
}

interface ILine {
  /** The stage at which it begins; null: nothing is drawn. */
  from: string | null;
  /** The stage that the pointer is over. */
  over: string | null;
  /** The path so far. */
  points: string | null;
  begin: (event: React.PointerEvent, from: string) => void;
}

/** A line that is drawn from a stage's handle to another stage. */
function useLine(
  canvas: React.RefObject<HTMLDivElement>,
  zoom: number,
  connect: IDagProps['connect']
): ILine {
  const [drawn, draw] = React.useState<Omit<ILine, 'begin'>>({
    from: null,
    over: null,
    points: null
  });
  const none = { from: null, over: null, points: null };
  const begin = (down: React.PointerEvent, from: string) => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box || down.button !== 0) {
      return;
    }
    down.preventDefault();
    const at = (event: { clientX: number; clientY: number }) =>
      `${(event.clientX - box.left) / zoom},${(event.clientY - box.top) / zoom}`;
    const start = at(down);
    const over = (event: PointerEvent) =>
      document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>('[data-stage]')
        ?.dataset.stage ?? null;
    const move = (event: PointerEvent) =>
      draw({ from, over: over(event), points: `M${start} L${at(event)}` });
    const end = (event: PointerEvent) => {
      window.removeEventListener('pointermove', move);
      window.removeEventListener('pointerup', end);
      window.removeEventListener('pointercancel', end);
      draw(none);
      const to = event.type === 'pointerup' ? over(event) : null;
      if (to !== null && to !== from) {
        connect?.(from, to);
      }
    };
    window.addEventListener('pointermove', move);
    window.addEventListener('pointerup', end);
    window.addEventListener('pointercancel', end);
  };
  return { ...drawn, begin };
}
