import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { CommandIDs } from '../../commands';
import { ActionButton, Elapsed, shortId, StateDot } from '../../components';
import { formatMetric } from '../../models/metrics';
import { runState } from '../../service/reduce';
import { IName, IPoint, ISort, metricKey, sortPoints, SortKey, valueText } from './model';

/** Rows that are shown before one asks for all. */
const SHOWN = 100;

interface ITableProps {
  slug: string;
  axes: readonly IName[];
  metrics: readonly IName[];
  points: readonly IPoint[];
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** A row for each point; a click opens its run. */
export const SweepTable = React.memo(function SweepTable(props: ITableProps) {
  const { axes, metrics, points, trans } = props;
  const [sort, setSort] = React.useState<ISort>({ by: 'number', down: false });
  const [all, setAll] = React.useState(false);
  const sorted = sortPoints(points, sort, trans);
  const shown = all ? sorted : sorted.slice(0, SHOWN);
  const head = (key: SortKey, label: string, title?: string) => (
    <Head key={key} id={key} label={label} title={title} sort={sort} setSort={setSort} />
  );
  return (
    <>
      <div className="jp-Himalia-wide">
        <table className="jp-Himalia-table jp-Himalia-sweepTable">
          <thead>
            <tr>
              {head('number', trans.__('Run'))}
              {axes.map(({ stage, name, label }, index) =>
                head(`value ${index}`, label, trans.__('The parameter %1 of %2', name, stage))
              )}
              {head('state', trans.__('State'))}
              {head('duration', trans.__('Duration'))}
              {metrics.map(metric => {
                const { stage, name, label } = metric;
                const title = trans.__('The metric %1 of %2', name, stage);
                return head(`metric ${metricKey(metric)}`, label, title);
              })}
            </tr>
          </thead>
          <tbody>
            {shown.map(point => (
              <Row key={point.run.id} {...props} point={point} />
            ))}
          </tbody>
        </table>
      </div>
      {sorted.length > SHOWN && (
        <div>
          <ActionButton
            label={
              all
                ? trans.__('Show the first %1', SHOWN)
                : trans.__('Show all %1 rows', sorted.length)
            }
            onClick={() => setAll(!all)}
          />
        </div>
      )}
    </>
  );
});

/** The head of a column: a press sorts by it, another one the other way round. */
function Head(props: {
  id: SortKey;
  label: string;
  title?: string;
  sort: ISort;
  setSort: (sort: ISort) => void;
}): React.ReactElement {
  const { id, label, title, sort, setSort } = props;
  const mine = sort.by === id;
  const way = sort.down ? 'descending' : 'ascending';
  return (
    <th scope="col" aria-sort={mine ? way : undefined}>
      <button
        type="button"
        className="jp-Himalia-sort"
        title={title}
        onClick={() => setSort({ by: id, down: mine && !sort.down })}
      >
        {label}
        <span aria-hidden="true">{mine ? (sort.down ? ' ▾' : ' ▴') : ''}</span>
      </button>
    </th>
  );
}

function Row(props: ITableProps & { point: IPoint }): React.ReactElement {
  const { slug, metrics, point, commands, trans } = props;
  const { run, values } = point;
  return (
    <tr
      data-run={run.id}
      onClick={() => void commands.execute(CommandIDs.openRun, { run: run.id, slug })}
    >
      <th scope="row">
        {/* its click is the row's */}
        <button
          type="button"
          className="jp-Himalia-runLink"
          title={trans.__('Open the run %1', run.id)}
        >
          {trans.__('run %1', shortId(run.id))}
        </button>
      </th>
      {values.map((value, index) => (
        <td key={index}>
          <code>{valueText(value)}</code>
        </td>
      ))}
      <td>
        <StateDot state={runState(run)} trans={trans} />
      </td>
      <td>
        {run.started_at === null ? (
          '–'
        ) : (
          <Elapsed from={run.started_at} to={run.ended_at} trans={trans} />
        )}
      </td>
      {metrics.map(metric => {
        const key = metricKey(metric);
        const value = point.metrics.get(key);
        return (
          <td key={key} title={value === undefined ? undefined : String(value)}>
            {value === undefined ? '–' : formatMetric(value)}
          </td>
        );
      })}
    </tr>
  );
}
