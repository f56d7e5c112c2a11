import { TranslationBundle } from '@jupyterlab/translation';
import { MenuSvg } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { Project, Run } from '../api/types';
import { CommandIDs } from '../commands';
import { Ago, shortId } from '../components';
import { Edge, EdgeName } from './edges';
import { IGraphEdge, IGraphNode, graphEdges, graphNodes } from './graphModel';
import { GraphNode } from './graphNode';
import { useLayouts, useSize } from './hooks';
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
  const { width: room } = useSize(frame);
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
