import { MainAreaWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { at } from '../api/request';
import type { RunComparison, RunDifference } from '../api/types';
import { CommandIDs } from '../commands';
import {
  Ago,
  formatDuration,
  KeptWidget,
  PartBody,
  shortId,
  StateDot,
  useAnswer,
  useStore
} from '../components';
import { runState } from '../service/reduce';
import type { IHimalia } from '../tokens';
import { pipelineIcon } from './icons';

/** Which runs, and what the document stands on. */
export interface ICompareProps {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  slug: string;
  runs: readonly string[];
}

/** A tab with runs side by side. */
export function makeCompareDocument(props: ICompareProps): MainAreaWidget {
  const { trans, runs, slug } = props;
  const content = new KeptWidget(<CompareDocument {...props} />);
  content.addClass('jp-Himalia-runDocument');
  const widget = new MainAreaWidget({ content });
  widget.title.label = trans.__('Compare %1', runs.map(shortId).join(', '));
  widget.title.caption = trans.__('Runs of the project %1 side by side', slug);
  widget.title.icon = pipelineIcon;
  widget.title.closable = true;
  return widget;
}

/** Runs side by side: what differs first, then what is the same. */
export function CompareDocument(props: ICompareProps): React.ReactElement {
  const { himalia, trans, slug, runs } = props;
  const query = runs.map(id => `runs=${encodeURIComponent(id)}`).join('&');
  const store = useStore(himalia.store);
  const known = store?.runs.items?.filter(({ id }) => runs.includes(id));
  const part = useAnswer<RunComparison>(
    himalia,
    `${at('projects', slug, 'runs', 'compare')}?${query}`,
    trans,
    known?.map(({ status }) => status).join()
  );
  return (
    <article className="jp-Himalia-run">
      <header>
        <h1>{trans.__('Compare runs')}</h1>
      </header>
      <PartBody part={part} trans={trans}>
        {comparison => (
          <>
            <h2>{trans.__('What differs')}</h2>
            {comparison.differences.length === 0 ? (
              <p>{trans.__('Nothing: the runs are alike in all that is known of them.')}</p>
            ) : (
              <Table {...props} comparison={comparison} rows={comparison.differences} />
            )}
            {comparison.same.length > 0 && (
              <details>
                <summary>{trans.__('What is the same (%1)', comparison.same.length)}</summary>
                <Table {...props} comparison={comparison} rows={comparison.same} />
              </details>
            )}
          </>
        )}
      </PartBody>
    </article>
  );
}

function Table(
  props: ICompareProps & { comparison: RunComparison; rows: readonly RunDifference[] }
): React.ReactElement {
  const { commands, trans, slug, comparison, rows } = props;
  return (
    <div className="jp-Himalia-wide">
      <table className="jp-Himalia-table jp-Himalia-compare">
        <thead>
          <tr>
            <th scope="col">{trans.__('Stage')}</th>
            <th scope="col">{trans.__('What')}</th>
            {comparison.runs.map(run => (
              <th scope="col" key={run.id}>
                <button
                  type="button"
                  className="jp-Himalia-runLink"
                  title={trans.__('Open the run %1', run.id)}
                  onClick={() => void commands.execute(CommandIDs.openRun, { run: run.id, slug })}
                >
                  {trans.__('run %1', shortId(run.id))}
                </button>{' '}
                <Ago at={run.created_at} trans={trans} />
                <div>
                  <StateDot state={runState(run)} trans={trans} />
                </div>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <tr key={`${row.stage} ${row.part} ${row.name}`}>
              <th scope="row">{row.stage ?? '–'}</th>
              <td>{partLabel(row, trans)}</td>
              {row.values.map((value, index) => (
                <td key={index}>{valueOf(row, value, trans)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What a row is about. */
export function partLabel({ part, name }: RunDifference, trans: TranslationBundle): string {
  switch (part) {
    case 'status':
      return trans.__('status');
    case 'seconds':
      return trans.__('duration');
    case 'parameter':
      return trans.__('parameter %1', name);
    case 'metric':
      return trans.__('metric %1', name);
    case 'output':
      return trans.__('output %1', name);
    case 'code':
      return trans.__('code');
    case 'commit':
      return trans.__('commit');
    default:
      return [part, name].filter(Boolean).join(' ');
  }
}

function valueOf(
  { part }: RunDifference,
  value: unknown,
  trans: TranslationBundle
): React.ReactElement | string {
  if (value === null || value === undefined) {
    return '–';
  }
  if (part === 'status' && typeof value === 'string') {
    return <StateDot state={value} trans={trans} />;
  }
  if (part === 'seconds' && typeof value === 'number') {
    return formatDuration(value, trans);
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return <code title={text}>{shortValue(text)}</code>;
}

/** Enough of a digest to tell two apart; other texts as they are. */
export function shortValue(text: string): string {
  return text.replace(/^(?:sha256:)?([0-9a-f]{10})[0-9a-f]{22,}$/, '$1…');
}
