import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { at } from '../api/request';
import type { Attempt, Run, StageRun } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Elapsed,
  hasEnded,
  shortId,
  StateDot,
  useAnswer,
  useNow,
  useStore
} from '../components';
import type { IHimalia } from '../tokens';
import { Attempts } from './attempts';
import { KeyView } from './keyView';
import { LiveLog } from './liveLog';
import { MendButton } from './mendButton';
import { progressText, StageError } from './pipelineSection';
import { canOpen, wentWrong } from './rows';
import { bars, IBar } from './timeline';

interface ITimelineProps {
  himalia: IHimalia;
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
  const [chosen, choose] = React.useState<string | null>(null);
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
        <StageRows
          key={stage.name}
          {...props}
          stage={stage}
          bar={drawn.get(stage.name) ?? null}
          open={chosen === stage.name}
          toggle={() => choose(chosen === stage.name ? null : stage.name)}
        />
      ))}
    </table>
  );
}

interface IStageRowsProps extends ITimelineProps {
  stage: StageRun;
  bar: IBar | null;
  /** Its log is shown. */
  open: boolean;
  toggle: () => void;
}

function StageRows(props: IStageRowsProps): React.ReactElement {
  const { run, slug, stage, bar, open, toggle, commands, trans } = props;
  const args = { run: run.id, slug, stage: stage.name };
  return (
    <tbody data-stage={stage.name}>
      <tr>
        <th scope="row">{stage.name}</th>
        <td>
          <StateDot state={stage.status} trans={trans} />
        </td>
        <td className="jp-Himalia-track">{bar && <Bar bar={bar} stage={stage} trans={trans} />}</td>
        <td>
          {stage.status === 'skipped' ? (
            '–'
          ) : (
            <Elapsed from={stage.started_at} to={stage.ended_at} trans={trans} />
          )}
        </td>
        <td className="jp-Himalia-timelineTools">
          {wentWrong(stage.status) && stage.failed_cell !== null && stage.notebook && (
            <ActionButton
              label={trans.__('Open failed cell')}
              title={trans.__('The notebook as it was executed, at cell %1', stage.failed_cell + 1)}
              onClick={() =>
                void commands.execute(CommandIDs.openExecutedNotebook, {
                  ...args,
                  cell: stage.failed_cell
                })
              }
            />
          )}
          <ActionButton
            label={trans.__('Notebook')}
            title={
              stage.notebook
                ? trans.__('The notebook as it was executed, read-only')
                : trans.__('The notebook as far as it is executed; it fills as the stage goes on')
            }
            disabledReason={canOpen(stage) ? null : trans.__('No notebook was kept (yet).')}
            onClick={() => void commands.execute(CommandIDs.openExecutedNotebook, args)}
          />
          <ActionButton
            label={open ? trans.__('Hide log') : trans.__('Log')}
            title={trans.__('What the stage printed')}
            disabledReason={
              stage.started_at === null || stage.status === 'skipped'
                ? trans.__('The stage has not run.')
                : null
            }
            onClick={toggle}
          />
        </td>
      </tr>
      <tr className="jp-Himalia-timelineMore">
        <td />
        <td colSpan={4}>
          <StageMore {...props} />
        </td>
      </tr>
    </tbody>
  );
}

function Bar(props: { bar: IBar; stage: StageRun; trans: TranslationBundle }): React.ReactElement {
  const { bar, stage, trans } = props;
  const percent = (part: number) => `${(part * 100).toFixed(2)}%`;
  const look = wentWrong(stage.status) ? 'wrong' : stage.status;
  return (
    <div className="jp-Himalia-bars">
      {bar.wait > 0 && (
        <div
          className="jp-Himalia-barWait"
          title={stage.reason ?? trans.__('waiting')}
          style={{ width: percent(bar.wait) }}
        />
      )}
      {bar.width > 0 && (
        <div
          className={`jp-Himalia-bar jp-mod-${look}`}
          style={{ left: percent(bar.left), width: percent(bar.width) }}
        />
      )}
    </div>
  );
}

function StageMore(props: IStageRowsProps): React.ReactElement {
  const { himalia, run, slug, stage, open, commands, trans } = props;
  const store = useStore(himalia.store);
  const params = Object.entries(stage.params);
  const outputs = Object.entries(stage.outputs);
  const { cached_from: origin } = stage;
  const running = stage.status === 'running' && stage.cells > 0;
  return (
    <>
      {running && (
        <div className="jp-Himalia-progress">
          <progress
            value={stage.cell}
            max={stage.cells}
            aria-label={trans.__('Progress of %1', stage.name)}
          />
          <span className="jp-Himalia-muted">{progressText(stage, trans)}</span>
        </div>
      )}
      {stage.reason && !stage.error && <p>{reasonText(stage, trans)}</p>}
      {origin !== null && origin !== run.id && (
        <p>
          <button
            type="button"
            className="jp-Himalia-runLink"
            onClick={() => void commands.execute(CommandIDs.openRun, { run: origin, slug })}
          >
            {trans.__('The result is that of run %1', shortId(origin))}
          </button>
        </p>
      )}
      {stage.error && <StageError error={stage.error} hint={stage.hint} trans={trans} />}
      {stage.warnings?.map(warning => (
        <p key={warning}>
          <StateDot compact state="lost" label={trans.__('Warning')} trans={trans} /> {warning}
        </p>
      ))}
      {store?.slug === slug && (
        <MendButton himalia={himalia} store={store} hint={stage.hint} trans={trans} />
      )}
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
      {outputs.length > 0 && (
        <dl className="jp-Himalia-params" aria-label={trans.__('Outputs of %1', stage.name)}>
          {outputs.map(([path, digest]) => (
            <div key={path}>
              <dt>{path}</dt>
              <dd title={String(digest)}>
                {String(digest)
                  .replace(/^sha256:/, '')
                  .slice(0, 10)}
              </dd>
            </div>
          ))}
        </dl>
      )}
      {stage.key !== null && <KeyView {...props} stage={stage.name} />}
      {stage.attempts > (hasEnded(stage.status) ? 1 : 0) && <PastAttempts {...props} />}
      {open && <LiveLog himalia={himalia} slug={slug} run={run.id} stage={stage} trans={trans} />}
    </>
  );
}

/** Why it waits, runs, ran, or was not run. */
function reasonText(stage: StageRun, trans: TranslationBundle): string {
  const reason = stage.reason ?? '';
  if (stage.status === 'running') {
    return trans.__('Why it runs: %1', reason);
  }
  return ['succeeded', 'cancelled'].includes(stage.status) || wentWrong(stage.status)
    ? trans.__('Why it ran: %1', reason)
    : reason;
}

function PastAttempts(props: IStageRowsProps): React.ReactElement {
  const { himalia, run, slug, stage, commands, trans } = props;
  const path = at('projects', slug, 'runs', run.id, 'stages', stage.name, 'attempts');
  const part = useAnswer<Attempt[]>(himalia, path, trans, stage.attempts);
  return (
    <Attempts
      part={part}
      slug={slug}
      run={run.id}
      stage={stage.name}
      commands={commands}
      trans={trans}
    />
  );
}
