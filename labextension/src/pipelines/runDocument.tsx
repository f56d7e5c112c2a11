import { MainAreaWidget } from '@jupyterlab/apputils';
import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { toProblem } from '../api/problem';
import { at } from '../api/request';
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
import { Unread } from './unread';

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
  return (
    <article className="jp-Himalia-run">
      <header>
        <h1>{trans.__('Run %1', shortId(run.id))}</h1>
        <span role="status">
          <StateDot state={runState(run)} trans={trans} />
        </span>
        <span className="jp-Himalia-fill" />
        {!ended && (
          <ActionButton
            label={trans.__('Cancel the run')}
            disabledReason={
              runState(run) === 'cancelling' ? trans.__('It is being cancelled.') : null
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
        {ended && run.reason && (
          <>
            <dt>{trans.__('Reason')}</dt>
            <dd>{run.reason}</dd>
          </>
        )}
      </dl>
      <h2>{trans.__('Stages')}</h2>
      <RunTimeline run={run} slug={slug} commands={commands} trans={trans} />
    </article>
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
