import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ActionButton, ProblemMessage, StateDot } from '../components';
import { connectionHelp } from '../service/words';
import type { IHimalia, IProblem } from '../tokens';

/** In the place of what a document has not been able to read yet: why, and how to go on. */
export function Unread(props: {
  himalia: IHimalia;
  problem: IProblem | null;
  /** What is being read ("Loading the run…"). */
  loading: string;
  trans: TranslationBundle;
}): React.ReactElement {
  const { himalia, problem, loading, trans } = props;
  const { connection } = himalia;
  if (connection === 'live' && problem) {
    return <ProblemMessage problem={problem} trans={trans} />;
  }
  const waits = ['live', 'connecting', 'starting'].includes(connection);
  return (
    <div className="jp-Himalia-empty">
      <p role="status">
        <StateDot
          state={waits ? 'starting' : connection}
          label={connection === 'live' ? loading : connectionHelp(connection, trans)}
          trans={trans}
        />
      </p>
      {connection === 'stopped' && (
        <ActionButton
          primary
          label={trans.__('Start Himalia')}
          onClick={() => void himalia.start()}
        />
      )}
    </div>
  );
}
