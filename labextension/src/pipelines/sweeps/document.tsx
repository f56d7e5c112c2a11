import { MainAreaWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { at } from '../../api/request';
import { whyNot } from '../../api/roles';
import type { Sweep } from '../../api/types';
import {
  ActionButton,
  Ago,
  formatExact,
  hasEnded,
  KeptWidget,
  PartBody,
  ProblemMessage,
  shortId,
  StateDot,
  stateWord
} from '../../components';
import { StoreGate } from '../../frame/gate';
import { runState } from '../../service/reduce';
import type { IHimalia, IPart, IProjectStore } from '../../tokens';
import { sweepIcon } from '../icons';
import { cancelSweep } from './acts';
import { axesOf, IName, IPoint, metricsOf, pointsOf, sizeOf, valueText } from './model';
import { SweepPlot } from './plot';
import { SweepTable } from './table';
import { useMetrics } from './useMetrics';

/** Which sweep, and what the document stands on. */
export interface ISweepProps {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  slug: string;
  id: string;
}

type IBodyProps = ISweepProps & { store: IProjectStore };

/** A tab with the runs of a sweep. */
export function makeSweepDocument(props: ISweepProps): MainAreaWidget {
  const { himalia, commands, trans, slug, id } = props;
  const content = new KeptWidget(
    <StoreGate himalia={himalia} commands={commands} trans={trans} slug={slug}>
      {store => <SweepDocument {...props} store={store} />}
    </StoreGate>
  );
  content.addClass('jp-Himalia-runDocument');
  const widget = new MainAreaWidget({ content });
  widget.title.label = trans.__('Sweep %1', shortId(id));
  widget.title.caption = trans.__('The sweep %1 of the project %2', id, slug);
  widget.title.icon = sweepIcon;
  widget.title.closable = true;
  return widget;
}

/** A sweep: a row and a mark for each of its runs; live while they run. */
export function SweepDocument(props: IBodyProps): React.ReactElement {
  const { store, trans, id } = props;
  return (
    <article className="jp-Himalia-run jp-Himalia-sweep">
      <PartBody part={useSweep(store, id)} trans={trans}>
        {sweep => <Details {...props} sweep={sweep} />}
      </PartBody>
    </article>
  );
}

/** The sweep, kept up to date while its document is open. */
function useSweep(store: IProjectStore, id: string): IPart<Sweep> {
  const question = React.useMemo(() => ({ path: at('sweeps', id), topics: ['run.'] }), [id]);
  React.useEffect(() => () => store.drop(question), [store, question]);
  return store.part<Sweep>(question);
}

function Details(props: IBodyProps & { sweep: Sweep }): React.ReactElement {
  const { himalia, commands, store, trans, slug, sweep } = props;
  const { metrics: known, problem } = useMetrics(himalia, store, sweep.runs, trans);
  // they are drawn anew when they have changed, not at each event of the project
  const axes = React.useMemo(() => axesOf(sweep), [sweep]);
  const points = React.useMemo(() => pointsOf(sweep, axes, known), [sweep, axes, known]);
  const metrics = React.useMemo(() => metricsOf(points), [points]);
  const shown = { slug, commands, trans, axes, metrics, points };
  const size = sizeOf(sweep);
  return (
    <>
      <Head {...props} />
      <dl className="jp-Himalia-facts">
        <dt>{trans.__('Started')}</dt>
        <dd>
          <Ago at={sweep.created_at} trans={trans} />{' '}
          {trans.__('(%1) by %2', formatExact(sweep.created_at), sweep.created_by)}
        </dd>
        <Fixed {...props} axes={axes} />
        {points.length < size && (
          <>
            <dt>{trans.__('Runs')}</dt>
            <dd>
              {trans.__(
                '%1 of %2 are there. The others are not kept any more.',
                points.length,
                size
              )}
            </dd>
          </>
        )}
      </dl>
      {problem && <ProblemMessage problem={problem} trans={trans} />}
      {metrics.length > 0 && <SweepPlot {...shown} />}
      <SweepTable {...shown} />
      {metrics.length === 0 && <NoMetrics {...props} points={points} />}
    </>
  );
}

function Head(props: IBodyProps & { sweep: Sweep }): React.ReactElement {
  const { himalia, trans, slug, sweep } = props;
  const [busy, setBusy] = React.useState(false);
  const { runs } = sweep;
  const left = runs.filter(({ status }) => !hasEnded(status));
  const stoppable = left.filter(run => runState(run) !== 'cancelling');
  const cancel = async () => {
    setBusy(true);
    await cancelSweep({ himalia, trans }, slug, sweep.id, stoppable);
    setBusy(false);
  };
  return (
    <header>
      <h1>{trans.__('Sweep %1', shortId(sweep.id))}</h1>
      <span role="status" className="jp-Himalia-sweepStates">
        {statesOf(runs.map(runState)).map(([state, count]) => (
          <StateDot
            key={state}
            state={state}
            label={`${count} ${stateWord(state, trans)}`}
            trans={trans}
          />
        ))}
      </span>
      <span className="jp-Himalia-fill" />
      {left.length > 0 && (
        <ActionButton
          label={trans.__('Cancel all…')}
          busy={busy}
          disabledReason={
            stoppable.length === 0
              ? trans.__('They are being cancelled.')
              : whyNot(himalia, 'run.cancel', trans)
          }
          onClick={() => void cancel()}
        />
      )}
    </header>
  );
}

/** How many runs are in each state, in the order in which the states first come. */
function statesOf(states: readonly string[]): [string, number][] {
  const counts = new Map<string, number>();
  states.forEach(state => counts.set(state, (counts.get(state) ?? 0) + 1));
  return [...counts];
}

/** Parameters that were given one value, for all runs. */
function Fixed(props: IBodyProps & { sweep: Sweep; axes: readonly IName[] }): React.ReactElement {
  const { trans, sweep, axes } = props;
  const isAxis = (stage: string, name: string) =>
    axes.some(axis => axis.stage === stage && axis.name === name);
  const fixed = Object.entries(sweep.grid).flatMap(([stage, of]) =>
    Object.entries(of)
      .filter(([name]) => !isAxis(stage, name))
      .map(([name, [value]]) => `${stage}.${name} = ${valueText(value)}`)
  );
  if (fixed.length === 0) {
    return <></>;
  }
  return (
    <>
      <dt>{trans.__('In all runs')}</dt>
      <dd>
        <code>{fixed.join(', ')}</code>
      </dd>
    </>
  );
}

/** Why there is no picture. */
function NoMetrics(props: IBodyProps & { points: readonly IPoint[] }): React.ReactElement {
  const { store, trans, points } = props;
  const text = !points.some(({ run }) => hasEnded(run.status))
    ? trans.__('Metrics, and a picture of them, come as runs end.')
    : store.tracking === 'starting'
      ? trans.__('MLflow, which knows the metrics, is starting.')
      : trans.__(
          'The runs that have ended have logged no metrics. mlflow.log_metric("score", value) in a notebook logs one.'
        );
  return <p className="jp-Himalia-muted">{text}</p>;
}
