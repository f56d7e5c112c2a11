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
  EmptyState,
  PartBody,
  ProblemMessage,
  Select,
  shortId,
  StateDot,
  stateWord,
  useAnswer
} from '../components';
import { runState } from '../service/reduce';
import type { IHimalia, IProblem, IProjectStore } from '../tokens';
import { SweepLink } from './sweepLink';
import { kindWord } from './words';

interface IPage {
  items: Run[];
  next: string | null;
}

interface IHistoryProps {
  himalia: IHimalia;
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

const KINDS = ['pipeline', 'notebook', 'verification'];
const STATUSES = ['running', 'succeeded', 'failed', 'cancelled', 'lost'];
/** Runs that can be compared at a time. */
const MOST = 10;

/** Runs of the project, by kind and status; two or more can be compared. */
export function History(props: IHistoryProps): React.ReactElement {
  const { himalia, store, commands, trans } = props;
  const [kind, setKind] = React.useState('pipeline');
  const [status, setStatus] = React.useState('');
  const [chosen, choose] = React.useState<readonly string[]>([]);
  const { part, older, more, busy, problem } = useRuns(himalia, store, kind, trans);
  const pick = (id: string, on: boolean) =>
    choose(on ? [...chosen, id].slice(-MOST) : chosen.filter(other => other !== id));
  const filter = (
    label: string,
    value: string,
    set: (value: string) => void,
    words: [string, string][]
  ) => (
    <Select aria-label={label} value={value} onChange={event => set(event.target.value)}>
      {words.map(([key, word]) => (
        <option key={key} value={key}>
          {word}
        </option>
      ))}
    </Select>
  );
  return (
    <section className="jp-Himalia-history" aria-label={trans.__('Run history')}>
      <header className="jp-Himalia-panelHead">
        <h2>{trans.__('Runs')}</h2>
        <span className="jp-Himalia-fill" />
        <ActionButton
          label={trans.__('Compare')}
          disabledReason={chosen.length < 2 ? trans.__('Select two runs or more.') : null}
          onClick={() =>
            void commands.execute(CommandIDs.compareRuns, { runs: [...chosen], slug: store.slug })
          }
        />
      </header>
      <div className="jp-Himalia-panelTools">
        {filter(trans.__('Kind of runs'), kind, setKind, [
          ['', trans.__('all kinds')],
          ...KINDS.map((key): [string, string] => [key, kindWord(key, trans)])
        ])}
        {filter(trans.__('Status of runs'), status, setStatus, [
          ['', trans.__('any status')],
          ...STATUSES.map((key): [string, string] => [key, stateWord(key, trans)])
        ])}
      </div>
      <PartBody part={part} trans={trans}>
        {({ items }) => {
          const shown = [...items, ...older].filter(run => !status || run.status === status);
          return shown.length === 0 ? (
            <EmptyState text={trans.__('No such run is known.')} />
          ) : (
            <ul className="jp-Himalia-sideList" role="list">
              {shown.map(run => (
                <RunItem
                  key={run.id}
                  run={run}
                  chosen={chosen.includes(run.id)}
                  pick={pick}
                  commands={commands}
                  trans={trans}
                />
              ))}
            </ul>
          );
        }}
      </PartBody>
      {problem && <ProblemMessage problem={problem} trans={trans} />}
      {more && <ActionButton label={trans.__('Older runs')} busy={busy} onClick={more} />}
    </section>
  );
}

function RunItem(props: {
  run: Run;
  chosen: boolean;
  pick: (id: string, on: boolean) => void;
  commands: CommandRegistry;
  trans: TranslationBundle;
}): React.ReactElement {
  const { run, chosen, pick, commands, trans } = props;
  const state = runState(run);
  const what = run.kind === 'pipeline' ? '' : `${kindWord(run.kind, trans)} · `;
  const by =
    run.trigger === 'schedule'
      ? trans.__('by the clock')
      : run.sweep
        ? '' // the link beside it tells more
        : trans.__('by %1', run.created_by);
  return (
    <li className="jp-Himalia-historyRow" role="listitem" data-run={run.id}>
      <input
        type="checkbox"
        aria-label={trans.__('Select run %1', shortId(run.id))}
        checked={chosen}
        onChange={event => pick(run.id, event.target.checked)}
      />
      <button
        type="button"
        className="jp-Himalia-rowButton"
        title={trans.__('Open the run %1', run.id)}
        onClick={() =>
          void commands.execute(CommandIDs.openRun, { run: run.id, slug: run.project })
        }
      >
        <StateDot compact state={state} trans={trans} />
        <span className="jp-Himalia-runLines">
          <span className="jp-Himalia-rowId">{shortId(run.id)}</span>
          <span className="jp-Himalia-rowName">{by}</span>
          <Ago at={run.created_at} trans={trans} />
          <span className="jp-Himalia-runEnd jp-Himalia-muted">
            {what}
            {stateWord(state, trans)}
            {run.started_at !== null && ' · '}
            <Elapsed from={run.started_at} to={run.ended_at} trans={trans} />
          </span>
        </span>
      </button>
      <SweepLink run={run} commands={commands} trans={trans} />
    </li>
  );
}

/** Runs of a kind: the newest are read again when something happens to one; older ones on request. */
function useRuns(himalia: IHimalia, store: IProjectStore, kind: string, trans: TranslationBundle) {
  const query = `limit=30${kind && `&kind=${kind}`}`;
  const path = `${at('projects', store.slug, 'runs')}?${query}`;
  const known = store.runs.items?.map(run => `${run.id} ${runState(run)}`).join();
  const part = useAnswer<IPage>(himalia, path, trans, known);
  const [pages, setPages] = React.useState<{ path: string; items: Run[]; next: string | null }>({
    path,
    items: [],
    next: null
  });
  const [busy, setBusy] = React.useState(false);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const mine = pages.path === path && pages.items.length > 0;
  const first = part.value?.items ?? [];
  const oldest = first[first.length - 1]?.created_at ?? 0;
  const older = mine ? pages.items.filter(run => run.created_at < oldest) : [];
  const next = mine ? pages.next : (part.value?.next ?? null);
  const more = async () => {
    setBusy(true);
    try {
      const page = await himalia.request<IPage>(
        'GET',
        `${path}&cursor=${encodeURIComponent(next ?? '')}`
      );
      setPages({ path, items: [...older, ...page.items], next: page.next });
      setProblem(null);
    } catch (error) {
      setProblem(toProblem(error, trans));
    } finally {
      setBusy(false);
    }
  };
  return { part, older, more: next === null ? null : () => void more(), busy, problem };
}
