import { TranslationBundle } from '@jupyterlab/translation';
import { MenuSvg } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { Project, Run } from '../api/types';
import { CommandIDs } from '../commands';
import { Ago, shortId } from '../components';
import { IGraphEdge, IGraphNode, graphEdges, graphNodes } from './graphModel';
import { GraphNode } from './graphNode';
import type * as Layouts from './layout';

interface IGraphProps {
  project: Project;
  /** The run whose states are shown; null when there was none. */
  run: Run | null;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The pipeline as a graph that fills in while it runs. */
export function Graph(props: IGraphProps): React.ReactElement {
  const { project, run, trans } = props;
  const frame = React.useRef<HTMLDivElement>(null);
  const room = useWidth(frame);
  const layouts = useLayouts();
  const nodes = graphNodes(project, run);
  // the layout follows from the manifest alone: progress is no reason to lay out again
  const edges = React.useMemo(() => graphEdges(project), [project]);
  const names = React.useMemo(() => project.stages.map(stage => stage.name), [project]);
  const layout = React.useMemo(
    () => (layouts && room > 0 ? layouts.layOut(names, edges, room) : null),
    [layouts, names, edges, room]
  );
  return (
    <section className="jp-Himalia-graph" aria-label={trans.__('Pipeline')}>
      <div className="jp-Himalia-cardHead">
        <h2>{trans.__('Pipeline')}</h2>
        {run && (
          <span className="jp-Himalia-muted">
            {trans.__('run %1', shortId(run.id))} · <Ago at={run.created_at} trans={trans} />
          </span>
        )}
      </div>
      <div className="jp-Himalia-graphFrame" ref={frame}>
        {layouts && layout ? (
          <Drawing {...props} layouts={layouts} layout={layout} nodes={nodes} edges={edges} />
        ) : (
          <div className="jp-Himalia-graphWait" aria-busy="true" />
        )}
      </div>
    </section>
  );
}

function Drawing(
  props: IGraphProps & {
    layouts: typeof Layouts;
    layout: Layouts.ILayout;
    nodes: readonly IGraphNode[];
    edges: readonly IGraphEdge[];
  }
): React.ReactElement {
  const { layout, layouts, nodes, edges, run, commands, trans } = props;
  /** The stage or edge that is pointed at. */
  const [active, setActive] = React.useState<string | null>(null);
  const open = (node: IGraphNode, anchor: HTMLElement) =>
    openMenu(node, run, anchor, commands, trans);
  const keyOf = (edge: IGraphEdge) => layouts.edgeKey(edge.from, edge.to);
  const isActive = (edge: IGraphEdge) => [edge.from, edge.to, keyOf(edge)].includes(active ?? '');
  const size = { width: layout.width, height: layout.height };
  return (
    <div className="jp-Himalia-graphCanvas" style={size}>
      <svg {...size} aria-hidden="true">
        {edges.map(edge => (
          <Edge
            key={keyOf(edge)}
            edge={edge}
            layout={layout}
            layouts={layouts}
            active={isActive(edge)}
            done={nodes.find(node => node.name === edge.from)?.stage?.status === 'succeeded'}
            point={over => setActive(over ? keyOf(edge) : null)}
          />
        ))}
      </svg>
      <ol role="list" aria-label={trans.__('Stages')}>
        {nodes.map(node => {
          const place = layout.nodes.get(node.name);
          return (
            <li
              key={node.name}
              style={{ left: place?.x, top: place?.y, ...layouts.NODE }}
              onPointerEnter={() => setActive(node.name)}
              onPointerLeave={() => setActive(null)}
              onFocus={() => setActive(node.name)}
              onBlur={() => setActive(null)}
            >
              <GraphNode node={node} open={open} trans={trans} />
            </li>
          );
        })}
      </ol>
      {/* above the nodes, which would hide the ends of long names */}
      <svg {...size} className="jp-Himalia-edgeNames" aria-hidden="true">
        {edges.filter(isActive).map(edge => (
          <EdgeName
            key={keyOf(edge)}
            files={edge.files}
            points={layout.edges.get(keyOf(edge)) ?? []}
          />
        ))}
      </svg>
    </div>
  );
}

/** A line from a stage to one that waits for it. */
function Edge(props: {
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
function EdgeName(props: {
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

/** What can be opened of a stage. Without a run there is its notebook alone: no menu is needed. */
function openMenu(
  node: IGraphNode,
  run: Run | null,
  anchor: HTMLElement,
  commands: CommandRegistry,
  trans: TranslationBundle
): void {
  const { name, stage } = node;
  if (!run || !stage) {
    void commands.execute(CommandIDs.openStageNotebook, { stage: name });
    return;
  }
  const local = new CommandRegistry();
  const menu = new MenuSvg({ commands: local });
  const add = (label: string, command: string, args: Record<string, string>, enabled = true) => {
    local.addCommand(command, {
      label,
      describedBy: { args: { type: 'object', properties: {} } },
      isEnabled: () => enabled,
      execute: () => commands.execute(command, args)
    });
    menu.addItem({ command });
  };
  const where = { run: run.id, stage: name };
  add(trans.__('Open what ran'), CommandIDs.openExecutedNotebook, where, stage.notebook);
  add(trans.__('Open the log'), CommandIDs.openStageLog, where, stage.started_at !== null);
  add(trans.__('Open the run'), CommandIDs.openRun, { run: run.id });
  add(trans.__('Edit the notebook'), CommandIDs.openStageNotebook, { stage: name });
  menu.aboutToClose.connect(() => {
    anchor.focus();
    // not at once: the chosen item is still to be run
    window.setTimeout(() => menu.dispose(), 0);
  });
  const { left, bottom } = anchor.getBoundingClientRect();
  menu.open(left, bottom + 2);
}

/** The layout is loaded when a graph is shown for the first time. */
function useLayouts(): typeof Layouts | null {
  const [layouts, setLayouts] = React.useState<typeof Layouts | null>(null);
  React.useEffect(() => {
    let wanted = true;
    void import('./layout').then(loaded => wanted && setLayouts(loaded));
    return () => {
      wanted = false;
    };
  }, []);
  return layouts;
}

/** The width of an element, in pixels; 0 until it is shown. */
function useWidth(ref: React.RefObject<HTMLElement>): number {
  const [width, setWidth] = React.useState(0);
  React.useEffect(() => {
    const element = ref.current;
    if (!element) {
      return;
    }
    const observer = new ResizeObserver(() => {
      const now = element.clientWidth;
      if (now > 0) {
        setWidth(now);
      }
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref]);
  return width;
}
