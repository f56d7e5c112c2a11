import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { StageRun } from '../api/types';
import { Elapsed, StateDot, formatDuration, stateWord } from '../components';
import { IGraphNode, stageProgress } from './graphModel';

/** A stage as a button of the graph. */
export function GraphNode(props: {
  node: IGraphNode;
  open: (node: IGraphNode, anchor: HTMLElement) => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const { node, open, trans } = props;
  const { name, notebook, stage } = node;
  const progress = stageProgress(stage);
  return (
    <button
      type="button"
      className={`jp-Himalia-node jp-mod-${look(stage)}`}
      aria-haspopup={stage ? 'menu' : undefined}
      aria-label={nodeLabel(node, trans)}
      title={stage?.error ?? stage?.reason ?? stage?.label ?? notebook}
      onClick={event => open(node, event.currentTarget)}
    >
      <span className="jp-Himalia-nodeHead">
        <span className="jp-Himalia-nodeName">{name}</span>
        {stage?.started_at && <Elapsed from={stage.started_at} to={stage.ended_at} trans={trans} />}
      </span>
      <span className="jp-Himalia-nodeFile">{notebook}</span>
      <span className="jp-Himalia-nodeState">
        {stage ? (
          <StateDot state={stage.status} trans={trans} />
        ) : (
          <span className="jp-Himalia-muted">{trans.__('not run yet')}</span>
        )}
        {progress !== null && stage && (
          <span className="jp-Himalia-muted">
            {trans.__('cell %1 of %2', stage.cell, stage.cells)}
          </span>
        )}
      </span>
      <span className="jp-Himalia-nodeBar" aria-hidden="true">
        {progress !== null && <span style={{ width: `${progress * 100}%` }} />}
      </span>
    </button>
  );
}

/** How a node's border looks; the words are the state's own. */
function look(stage: StageRun | null): string {
  if (!stage) {
    return 'none';
  }
  const bad = ['failed', 'timed_out', 'kernel_died', 'lost'].includes(stage.status);
  return bad ? 'bad' : stage.status.replace(/_/g, '-');
}

/** All of a stage in one sentence, for those who hear the graph. */
function nodeLabel(node: IGraphNode, trans: TranslationBundle): string {
  const { name, notebook, after, stage } = node;
  const parts = [name, notebook];
  parts.push(stage ? stateWord(stage.status, trans) : trans.__('not run yet'));
  if (stage && stageProgress(stage) !== null) {
    parts.push(trans.__('cell %1 of %2', stage.cell, stage.cells));
  }
  if (stage?.started_at && stage.ended_at) {
    parts.push(formatDuration(stage.ended_at - stage.started_at, trans));
  }
  if (after.length > 0) {
    parts.push(trans.__('after %1', after.join(', ')));
  }
  return parts.join(', ');
}
