import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Run, StageRun } from '../api/types';
import { CommandIDs } from '../commands';
import { ActionButton, Elapsed, hasEnded, StateDot, useNow } from '../components';
import { progressText, StageError } from './pipelineSection';
import { wentWrong } from './rows';
import { bars, IBar } from './timeline';

interface ITimelineProps {
  run: Run;
  slug: string;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The stages of a run over time, each with its parameters, its end and the ways to its notebook and log. */
export function RunTimeline(props: ITimelineProps): React.ReactElement {
  const { run, trans } = props;
  const now = useNow(!hasEnded(run.status));
  const drawn = bars(run, now);
  return (
    <table className="jp-Himalia-timeline">
      <thead>
        <tr>
          <th scope="col">{trans.__('Stage')}</th>
          <th scope="col">{trans.__('State')}</th>
          <th scope="col">{trans.__('Time')}</th>
          <th scope="col">{trans.__('Duration')}</th>
          <th scope="col">{trans.__('Open')}</th>
        </tr>
      </thead>
      {run.stages.map(stage => (
        <StageRows key={stage.name} {...props} stage={stage} bar={drawn.get(stage.name) ?? null} />
      ))}
    </table>
  );
}

function StageRows(props: ITimelineProps & { stage: StageRun; bar: IBar | null }) {
  const { run, slug, stage, bar, commands, trans } = props;
  const args = { run: run.id, slug, stage: stage.name };
  const percent = (part: number) => `${(part * 100).toFixed(2)}%`;
  return (
    <tbody>
      <tr>
        <th scope="row">{stage.name}</th>
        <td>
          <StateDot state={stage.status} trans={trans} />
        </td>
        <td className="jp-Himalia-track">
          {bar && (
            <div
              className={`jp-Himalia-bar jp-mod-${wentWrong(stage.status) ? 'wrong' : stage.status}`}
              style={{ marginLeft: percent(bar.left), width: percent(bar.width) }}
            />
          )}
        </td>
        <td>
          <Elapsed from={stage.started_at} to={stage.ended_at} trans={trans} />
        </td>
        <td className="jp-Himalia-timelineTools">
          <ActionButton
            label={trans.__('Notebook')}
            title={trans.__('The notebook as it was executed, read-only')}
            disabledReason={stage.notebook ? null : trans.__('No notebook was kept (yet).')}
            onClick={() => void commands.execute(CommandIDs.openExecutedNotebook, args)}
          />
          <ActionButton
            label={trans.__('Log')}
            title={trans.__('What the stage printed')}
            disabledReason={stage.started_at === null ? trans.__('The stage has not begun.') : null}
            onClick={() => void commands.execute(CommandIDs.openStageLog, args)}
          />
        </td>
      </tr>
      <tr className="jp-Himalia-timelineMore">
        <td />
        <td colSpan={4}>
          <StageMore stage={stage} trans={trans} />
        </td>
      </tr>
    </tbody>
  );
}

function StageMore(props: { stage: StageRun; trans: TranslationBundle }): React.ReactElement {
  const { stage, trans } = props;
  const params = Object.entries(stage.params);
  return (
    <>
      {stage.status === 'running' && stage.cells > 0 && <p>{progressText(stage, trans)}</p>}
      {!hasEnded(stage.status) && stage.reason && <p>{stage.reason}</p>}
      {stage.error && <StageError error={stage.error} hint={stage.hint} trans={trans} />}
      {params.length > 0 && (
        <dl className="jp-Himalia-params" aria-label={trans.__('Parameters of %1', stage.name)}>
          {params.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{JSON.stringify(value)}</dd>
            </div>
          ))}
        </dl>
      )}
    </>
  );
}
