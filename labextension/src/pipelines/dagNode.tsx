import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Elapsed, formatDuration, StateDot, stateWord } from '../components';
import { stageProgress } from '../overview/graphModel';
import { IStageRow, rowState, wentWrong } from './rows';

/** A stage of the graph: what happens to it, or what a run would do with it. */
export function DagNode(props: {
  row: IStageRow;
  selected: boolean;
  /** Tab leads to it; the others are reached by arrow keys. */
  reachable: boolean;
  /** A line that is being drawn would end here. */
  target: boolean;
  onClick: () => void;
  onKeyDown: (event: React.KeyboardEvent) => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const { row, selected, reachable, target, onClick, onKeyDown, trans } = props;
  const { stage, now, plan } = row;
  const state = rowState(row);
  const progress = stageProgress(now);
  const marks = [selected && 'jp-mod-selected', target && 'jp-mod-target'].filter(Boolean);
  const live = now !== null && row.active;
  return (
    <button
      type="button"
      className={`jp-Himalia-node jp-mod-${look(state)} ${marks.join(' ')}`}
      tabIndex={reachable ? 0 : -1}
      aria-pressed={selected}
      aria-label={label(row, trans)}
      title={now?.error ?? now?.reason ?? plan?.why ?? stage.notebook}
      onClick={onClick}
      onKeyDown={onKeyDown}
    >
      <span className="jp-Himalia-nodeHead">
        <span className="jp-Himalia-nodeName">{stage.name}</span>
        {live && now.started_at !== null ? (
          <Elapsed from={now.started_at} to={now.ended_at} trans={trans} />
        ) : (
          row.lastSeconds !== null && (
            <span className="jp-Himalia-duration">{formatDuration(row.lastSeconds, trans)}</span>
          )
        )}
      </span>
      <span className="jp-Himalia-nodeFile">{stage.notebook}</span>
      <span className="jp-Himalia-nodeState">
        {state === 'none' ? (
          <span className="jp-Himalia-muted">{trans.__('not run yet')}</span>
        ) : (
          <StateDot state={state} trans={trans} />
        )}
        {progress !== null && now ? (
          <span className="jp-Himalia-muted">{trans.__('cell %1 of %2', now.cell, now.cells)}</span>
        ) : (
          !row.active &&
          plan?.state === 'up_to_date' &&
          state !== 'up_to_date' && (
            <span className="jp-Himalia-muted">{trans.__('unchanged')}</span>
          )
        )}
      </span>
      <span className="jp-Himalia-nodeBar" aria-hidden="true">
        {progress !== null && <span style={{ width: `${progress * 100}%` }} />}
      </span>
    </button>
  );
}

/** How a node's border looks; the words are the state's own. */
function look(state: string): string {
  if (wentWrong(state) || state === 'invalid') {
    return 'bad';
  }
  return state === 'up_to_date' || state === 'skipped' ? 'succeeded' : state.replace(/_/g, '-');
}

/** All of a stage in one sentence, for those who hear the graph. */
function label(row: IStageRow, trans: TranslationBundle): string {
  const { stage, now, plan } = row;
  const state = rowState(row);
  const parts = [
    stage.name,
    stage.notebook,
    state === 'none' ? trans.__('not run yet') : stateWord(state, trans)
  ];
  if (now && row.active && now.cells > 0 && now.status === 'running') {
    parts.push(trans.__('cell %1 of %2', now.cell, now.cells));
  }
  if (plan && !row.active) {
    parts.push(plan.why);
  }
  if (stage.waits_for.length > 0) {
    parts.push(trans.__('after %1', stage.waits_for.join(', ')));
  }
  return parts.join(', ');
}
