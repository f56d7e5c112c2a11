import * as React from 'react';

import type { Run } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Ago,
  Elapsed,
  EmptyState,
  ProblemMessage,
  shortId,
  StateDot,
  stateWord
} from '../components';
import { runState } from '../service/reduce';
import type { ISectionBodyProps } from './pipelineSection';
import { SweepLink } from './sweepLink';
import { kindWord } from './words';

/** Runs that are shown before one asks for more. */
const SHOWN = 5;

/** The newest runs. */
export default function RunsSection(props: ISectionBodyProps): React.ReactElement {
  const { store, trans } = props;
  const { items, problem } = store.runs;
  const [all, setAll] = React.useState(false);
  if (!items) {
    return problem ? (
      <ProblemMessage problem={problem} trans={trans} />
    ) : (
      <p className="jp-Himalia-muted">{trans.__('Loading…')}</p>
    );
  }
  if (items.length === 0) {
    return <EmptyState text={trans.__('Runs of the pipeline are listed here.')} />;
  }
  const shown = all ? items : items.slice(0, SHOWN);
  const more = items.length - SHOWN;
  return (
    <>
      <ul className="jp-Himalia-sideList" role="list">
        {shown.map(run => (
          <li key={run.id} role="listitem" className="jp-Himalia-historyRow">
            <RunButton run={run} {...props} />
            <SweepLink run={run} {...props} />
          </li>
        ))}
      </ul>
      {more > 0 && (
        <div className="jp-Himalia-more">
          <ActionButton
            label={all ? trans.__('Show fewer') : trans._n('Show %1 more', 'Show %1 more', more)}
            onClick={() => setAll(!all)}
          />
        </div>
      )}
    </>
  );
}

function RunButton(props: ISectionBodyProps & { run: Run }): React.ReactElement {
  const { run, commands, trans } = props;
  const state = runState(run);
  return (
    <button
      type="button"
      className="jp-Himalia-rowButton"
      title={trans.__('Open the run %1', run.id)}
      onClick={() => void commands.execute(CommandIDs.openRun, { run: run.id })}
    >
      <StateDot compact state={state} trans={trans} />
      <span className="jp-Himalia-runLines">
        <span className="jp-Himalia-rowId">{shortId(run.id)}</span>
        <span className="jp-Himalia-rowName" title={run.created_by}>
          {run.sweep ? '' : run.created_by}
        </span>
        <Ago at={run.created_at} trans={trans} />
        <span className="jp-Himalia-runEnd jp-Himalia-muted">
          {run.kind !== 'pipeline' && `${kindWord(run.kind, trans)} · `}
          {stateWord(state, trans)}
          {run.started_at !== null && ' · '}
          <Elapsed from={run.started_at} to={run.ended_at} trans={trans} />
        </span>
      </span>
    </button>
  );
}
