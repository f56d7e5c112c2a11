import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { formatDuration } from './format';

/** A duration; while it has no end it counts by itself, every second, while the page is visible. */
export function Elapsed(props: {
  from: number | null;
  to: number | null;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { from, to, trans } = props;
  const now = useNow(from !== null && to === null);
  if (from === null) {
    return null;
  }
  const seconds = to === null ? Math.floor(Math.max(0, now - from)) : to - from;
  const text = to === null ? trans.__('%1 s', seconds) : formatDuration(seconds, trans);
  return (
    <span className="jp-Himalia-duration">
      {seconds >= 60 ? formatDuration(seconds, trans) : text}
    </span>
  );
}

/** The time in UTC seconds; moves on every second while *moves* and the page is visible. */
export function useNow(moves: boolean): number {
  const [now, setNow] = React.useState(() => Date.now() / 1000);
  React.useEffect(() => {
    if (!moves) {
      return;
    }
    const timer = window.setInterval(() => {
      if (!document.hidden) {
        setNow(Date.now() / 1000);
      }
    }, 1000);
    return () => window.clearInterval(timer);
  }, [moves]);
  return now;
}
