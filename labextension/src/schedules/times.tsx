import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { ScheduleTime } from '../api/types';

/** The next times of a schedule, where it is and in UTC. */
export function Times(props: {
  times: readonly ScheduleTime[];
  zone: string;
  trans: TranslationBundle;
}): React.ReactElement {
  const { times, zone, trans } = props;
  const same = zone === 'UTC';
  return (
    <table className="jp-Himalia-table jp-Himalia-times">
      <thead>
        <tr>
          <th scope="col">{zone}</th>
          {!same && <th scope="col">{trans.__('UTC')}</th>}
        </tr>
      </thead>
      <tbody>
        {times.map(time => (
          <tr key={time.slot}>
            <td>
              {wallTime(time.local)}
              {time.moved && (
                <span className="jp-Himalia-muted">
                  {' '}
                  {trans.__('(the clocks go forward: its own time does not exist on that day)')}
                </span>
              )}
            </td>
            {!same && <td>{wallTime(time.utc)}</td>}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** "2026-11-24T02:30+01:00" → "Tue 2026-11-24 02:30": the time as a clock there shows it. */
export function wallTime(iso: string): string {
  const [date, clock] = iso.split('T');
  const day = new Date(`${date}T00:00:00Z`).toLocaleDateString(undefined, {
    weekday: 'short',
    timeZone: 'UTC'
  });
  return `${day} ${date} ${clock.slice(0, 5)}`;
}
