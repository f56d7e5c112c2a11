import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import { fileIcon, historyIcon, notebookIcon, runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { CommandIDs } from '../commands';
import {
  Ago,
  Elapsed,
  EmptyState,
  formatDuration,
  hasEnded,
  IconButton,
  ProblemMessage,
  repairFirst,
  shortId,
  StateDot,
  stateWord
} from '../components';
import { runState } from '../service/reduce';
import type { IProjectStore } from '../tokens';
import { fromHereIcon } from './icons';
import { planOf } from './question';
import { IStageRow, pipelineRuns, rowState, splitError, stageRows, wentWrong } from './rows';

/** What a section's body needs. */
export interface ISectionBodyProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The stages in order, with what they do now. */
export default function PipelineSection(props: ISectionBodyProps): React.ReactElement {
  const { store, commands, trans } = props;
  const { stages, problem } = store.project;
  const { items, problem: runsProblem } = store.runs;
  const runs = items && pipelineRuns(items);
  if (stages.length === 0) {
    return problem ? (
      <p className="jp-Himalia-muted">{repairFirst(store.project, trans)}</p>
    ) : (
      <EmptyState
        text={trans.__(
          'This project has no stages yet. A stage is a notebook that runs with the pipeline.'
        )}
        action={{
          label: trans.__('Open the pipeline'),
          onClick: () => void commands.execute(CommandIDs.openPipeline)
        }}
      />
    );
  }
  const rows = stageRows(stages, runs ?? [], planOf(store));
  return (
    <>
      {problem && (
        <p className="jp-Himalia-muted">
          {trans.__('As last read.')} {repairFirst(store.project, trans)}
        </p>
      )}
      {runsProblem && <ProblemMessage problem={runsProblem} trans={trans} />}
      {runs && <Announcement {...props} />}
      <ul className="jp-Himalia-sideList" role="list">
        {rows.map(row => (
          <StageItem key={row.stage.name} row={row} {...props} />
        ))}
      </ul>
      {runs?.length === 0 && (
        <EmptyState
          text={trans.__('The pipeline has not been run yet.')}
          action={{
            label: trans.__('Run the pipeline'),
            onClick: () => void commands.execute(CommandIDs.runPipeline),
            disabledReason: problem
              ? repairFirst(store.project, trans)
              : refusedBy(store.project.role, 'run.start', trans)
          }}
        />
      )}
    </>
  );
}

/** The newest run in a line, told when it changes. */
function Announcement(props: ISectionBodyProps): React.ReactElement | null {
  const { store, commands, trans } = props;
  const run = pipelineRuns(store.runs.items ?? [])[0];
  if (!run) {
    return null;
  }
  const state = runState(run);
  return (
    <div className="jp-Himalia-runLine">
      <button
        type="button"
        className="jp-Himalia-runLink"
        title={trans.__('Open the run %1', run.id)}
        onClick={() => void commands.execute(CommandIDs.openRun, { run: run.id })}
      >
        {trans.__('run %1', shortId(run.id))}
      </button>
      <span role="status">
        <StateDot state={state} trans={trans} />
      </span>
      {hasEnded(run.status) ? (
        <Ago at={run.ended_at} trans={trans} />
      ) : (
        <Elapsed from={run.started_at} to={null} trans={trans} />
      )}
    </div>
  );
}

function StageItem(props: ISectionBodyProps & { row: IStageRow }): React.ReactElement {
  const { row, store, commands, trans } = props;
  const { stage, now } = row;
  const state = rowState(row);
  const refused = store.project.problem
    ? repairFirst(store.project, trans)
    : refusedBy(store.project.role, 'run.start', trans);
  return (
    <li className="jp-Himalia-row" role="listitem" data-stage={stage.name}>
      <div className="jp-Himalia-rowLine">
        <StateDot
          compact
          state={state}
          label={state === 'none' ? trans.__('not run yet') : stateWord(state, trans)}
          trans={trans}
        />
        <span className="jp-Himalia-rowName" title={`${stage.name} (${stage.notebook})`}>
          {stage.name}
        </span>
        <StageTime row={row} trans={trans} />
        <span className="jp-Himalia-rowTools">
          <IconButton
            icon={runIcon}
            label={trans.__('Run %1 alone', stage.name)}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.runPipeline, { only: stage.name })}
          />
          <IconButton
            icon={fromHereIcon}
            label={trans.__('Run %1 and all that depends on it', stage.name)}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.runPipeline, { from: stage.name })}
          />
          <IconButton
            icon={notebookIcon}
            label={trans.__('Open the notebook of %1', stage.name)}
            onClick={() =>
              void commands.execute(CommandIDs.openStageNotebook, { stage: stage.name })
            }
          />
          <IconButton
            icon={historyIcon}
            label={trans.__('Open %1 as it was last executed', stage.name)}
            disabledReason={row.executedIn ? null : trans.__('it has not been executed yet')}
            onClick={() =>
              void commands.execute(CommandIDs.openExecutedNotebook, {
                run: row.executedIn,
                stage: stage.name
              })
            }
          />
          {now && wentWrong(now.status) && (
            <IconButton
              icon={fileIcon}
              label={trans.__('Open the log of %1', stage.name)}
              onClick={() =>
                void commands.execute(CommandIDs.openStageLog, { run: row.run, stage: stage.name })
              }
            />
          )}
        </span>
      </div>
      <StageDetail row={row} trans={trans} />
    </li>
  );
}

function StageTime(props: { row: IStageRow; trans: TranslationBundle }): React.ReactElement | null {
  const { now, lastSeconds } = props.row;
  const { trans } = props;
  if (now?.started_at != null) {
    return <Elapsed from={now.started_at} to={now.ended_at} trans={trans} />;
  }
  if (lastSeconds === null) {
    return null;
  }
  return (
    <span className="jp-Himalia-duration" title={trans.__('How long it took the last time')}>
      {formatDuration(lastSeconds, trans)}
    </span>
  );
}

/** The line below a stage: the cell it is at, what it waits for, what went wrong. */
function StageDetail(props: {
  row: IStageRow;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { row, trans } = props;
  const { now } = row;
  if (now?.status === 'running' && now.cells > 0) {
    return (
      <div className="jp-Himalia-progress">
        <progress
          value={now.cell}
          max={now.cells}
          aria-label={trans.__('Progress of %1', now.name)}
        />
        <span className="jp-Himalia-muted" title={progressText(now, trans)}>
          {progressText(now, trans)}
        </span>
      </div>
    );
  }
  if (now && wentWrong(now.status) && now.error) {
    return <StageError error={now.error} hint={now.hint} trans={trans} />;
  }
  const note = noteOf(row);
  return note ? (
    <p className="jp-Himalia-rowNote jp-Himalia-muted">{splitError(note).summary}</p>
  ) : null;
}

/** Why it waits, why it was not run, or what a run would do with it now. */
function noteOf({ now, plan, active }: IStageRow): string | null {
  if (now && !hasEnded(now.status)) {
    return now.status === 'running' ? null : now.reason;
  }
  if (now && ['upstream_failed', 'not_run', 'cancelled'].includes(now.status)) {
    return now.error ?? now.reason ?? plan?.why ?? null;
  }
  // while a run goes on, what the next one would do is not known
  return active && now ? null : (plan?.why ?? null);
}

/** "cell 3 of 9: Join" */
export function progressText(
  now: { cell: number; cells: number; label: string | null },
  trans: TranslationBundle
): string {
  return now.label
    ? trans.__('cell %1 of %2: %3', now.cell, now.cells, now.label)
    : trans.__('cell %1 of %2', now.cell, now.cells);
}

/** What went wrong and what to do; the technical part folds. */
export function StageError(props: {
  error: string;
  hint: string | null;
  trans: TranslationBundle;
}): React.ReactElement {
  const { error, hint, trans } = props;
  const { summary, rest } = splitError(error);
  return (
    <div className="jp-Himalia-rowNote jp-Himalia-stageError">
      <p>{summary}</p>
      {hint && <p>{hint}</p>}
      {rest && (
        <details>
          <summary>{trans.__('Details')}</summary>
          <pre>{rest}</pre>
        </details>
      )}
    </div>
  );
}
