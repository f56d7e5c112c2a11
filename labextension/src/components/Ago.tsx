import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { formatAgo, formatExact } from './format';
import { everyMinute } from './ticker';

/** A time as how long ago it was; the exact one on hover. */
export function Ago(props: { at: number | null; trans: TranslationBundle }): React.ReactElement {
  const { at, trans } = props;
  const [now, setNow] = React.useState(() => Date.now() / 1000);
  React.useEffect(() => everyMinute(() => setNow(Date.now() / 1000)), []);
  if (at === null) {
    return <span>–</span>;
  }
  return (
    <time
      className="jp-Himalia-ago"
      dateTime={new Date(at * 1000).toISOString()}
      title={formatExact(at)}
    >
      {formatAgo(at, Math.max(now, at), trans)}
    </time>
  );
}
