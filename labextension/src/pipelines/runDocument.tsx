import { MainAreaWidget } from '@jupyterlab/apputils';
import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { toProblem } from '../api/problem';
import { at } from '../api/request';
import { whyNot } from '../api/roles';
import type { Run } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Ago,
  Elapsed,
  formatExact,
  hasEnded,
  KeptWidget,
  ProblemMessage,
  shortId,
  StateDot,
  useHimalia,
  useStore
} from '../components';
import { himaliaIcon } from '../icons';
import { runState } from '../service/reduce';
import type { IHimalia, IProblem } from '../tokens';
import { RunTimeline } from './runTimeline';
import { SweepLink } from './sweepLink';
import { Unread } from './unread';
import { kindWord, optionWords } from './words';

/** Which run, and what the document stands on. */
export interface IRunDocumentProps {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  slug: string;
  id: string;
}

/** A tab with the details of a run. */
export function makeRunDocument(props: IRunDocumentProps): MainAreaWidget {
  const { trans, id, slug } = props;
  const content = new KeptWidget(<RunDocument {...props} />);
  content.addClass('jp-Himalia-runDocument');
  const widget = new MainAreaWidget({ content });
  widget.title.label = trans.__('Run %1', shortId(id));
  widget.title.caption = trans.__('Run %1 of the project %2', id, slug);
  widget.title.icon = himaliaIcon;
  widget.title.closable = true;
  return widget;
}

/** A run: state, stages over time, parameters, errors; live while it runs. */
export function RunDocument(props: IRunDocumentProps): React.ReactElement {
  const { commands, trans, slug, id } = props;
  const { run, problem } = useRun(props);
  if (!run) {
    const loading = trans.__('Loading the run %1…', shortId(id));
    return (
      <article className="jp-Himalia-run">
        <h1>{trans.__('Run %1', shortId(id))}</h1>
        <Unread himalia={props.himalia} problem={problem} loading={loading} trans={trans} />
      </article>
    );
  }
  const ended = hasEnded(run.status);
  const refused = whyNot(props.himalia, 'run.start', trans);
  return (
    <article className="jp-Himalia-run">
      <header>
        <h1>{trans.__('Run %1', shortId(run.id))}</h1>
        <span role="status">
          <StateDot state={runState(run)} trans={trans} />
        </span>
        <span className="jp-Himalia-fill" />
        {ended && run.status !== 'succeeded' && run.kind !== 'verification' && (
          <ActionButton
            primary
            label={trans.__('Resume')}
            title={trans.__('Run what failed and what comes after it; what is done stays')}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.resumeRun, { run: run.id, slug })}
          />
        )}
        {ended && run.stages.some(({ outputs }) => Object.keys(outputs).length > 0) && (
          <ActionButton
            label={trans.__('Put into the folder…')}
            title={trans.__('Replace the files of the project by those that this run has made')}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.restoreOutputs, { run: run.id, slug })}
          />
        )}
        {!ended && (
          <ActionButton
            label={trans.__('Cancel the run')}
            disabledReason={
              runState(run) === 'cancelling'
                ? trans.__('It is being cancelled.')
                : whyNot(props.himalia, 'run.cancel', trans)
            }
            onClick={() => void commands.execute(CommandIDs.cancelRun, { run: run.id, slug })}
          />
        )}
      </header>
      {problem && <ProblemMessage problem={problem} trans={trans} />}
      <dl className="jp-Himalia-facts">
        <dt>{trans.__('Project')}</dt>
        <dd>{slug}</dd>
        <dt>{trans.__('Started')}</dt>
        <dd>
          <Ago at={run.created_at} trans={trans} />{' '}
          {trans.__('(%1) by %2', formatExact(run.created_at), run.created_by)}
        </dd>
        <dt>{trans.__('Took')}</dt>
        <dd>
          {run.started_at === null ? (
            '–'
          ) : (
            <Elapsed from={run.started_at} to={run.ended_at} trans={trans} />
          )}
        </dd>
        <Origin {...props} run={run} />
        {ended && run.reason && (
          <>
            <dt>{trans.__('Reason')}</dt>
            <dd>{run.reason}</dd>
          </>
        )}
      </dl>
      <h2>{trans.__('Stages')}</h2>
      {run.warnings?.map(warning => (
        <p key={warning} className="jp-Himalia-muted">
          {warning}
        </p>
      ))}
      <RunTimeline
        himalia={props.himalia}
        run={run}
        slug={slug}
        commands={commands}
        trans={trans}
      />
    </article>
  );
}

/** What it is, what asked for it, and on which code. */
function Origin(props: IRunDocumentProps & { run: Run }): React.ReactElement {
  const { commands, trans, slug, run } = props;
  const { origin, code } = run;
  const commit = typeof code?.commit === 'string' ? code.commit : null;
  const options = optionWords(run, trans);
  return (
    <>
      {run.kind && run.kind !== 'pipeline' && (
        <>
          <dt>{trans.__('Kind')}</dt>
          <dd>{kindWord(run.kind, trans)}</dd>
        </>
      )}
      {run.slot && (
        <>
          <dt>{trans.__('Schedule')}</dt>
          <dd>{trans.__('for %1', run.slot)}</dd>
        </>
      )}
      {run.sweep && (
        <>
          <dt>{trans.__('Point of')}</dt>
          <dd>
            <SweepLink run={run} commands={commands} trans={trans} />
          </dd>
        </>
      )}
      {origin && (
        <>
          <dt>{trans.__('Resumes')}</dt>
          <dd>
            <button
              type="button"
              className="jp-Himalia-runLink"
              onClick={() => void commands.execute(CommandIDs.openRun, { run: origin, slug })}
            >
              {trans.__('run %1', shortId(origin))}
            </button>
          </dd>
        </>
      )}
      {commit !== null && (
        <>
          <dt>{trans.__('Commit')}</dt>
          <dd>
            <code title={commit}>{commit.slice(0, 10)}</code>
            {code?.dirty === true && ` ${trans.__('with changes')}`}
          </dd>
        </>
      )}
      {options && (
        <>
          <dt>{trans.__('Options')}</dt>
          <dd>{options}</dd>
        </>
      )}
    </>
  );
}

/** The run as the store has it, or read once when it is older, or of another project. */
function useRun(props: IRunDocumentProps): { run: Run | null; problem: IProblem | null } {
  const { himalia, trans, slug, id } = props;
  const { connection } = useHimalia(himalia);
  const store = useStore(himalia.store);
  const [read, setRead] = React.useState<Run | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const kept =
    (store?.slug === slug && store.runs.items?.find(candidate => candidate.id === id)) || null;
  const missing = kept === null && connection === 'live';
  if (kept && kept !== read) {
    setRead(kept); // shown when the project is gone
  }
  React.useEffect(() => {
    if (!missing) {
      return;
    }
    let wanted = true;
    himalia.request<Run>('GET', at('projects', slug, 'runs', id)).then(
      answer => {
        if (wanted) {
          setRead(answer);
          setProblem(null);
        }
      },
      (error: unknown) => {
        if (wanted) {
          setProblem(toProblem(error, trans));
        }
      }
    );
    return () => {
      wanted = false;
    };
  }, [himalia, trans, slug, id, missing]);
  return { run: kept ?? read, problem: kept ? null : problem };
}
