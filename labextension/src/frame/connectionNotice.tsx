import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ActionButton, StateDot } from '../components';
import { Connection, IHimalia } from '../tokens';

/** Whether what a document shows may be old, and nothing can be done with it now. */
export function isAway(connection: Connection): boolean {
  return !['live', 'connecting'].includes(connection);
}

/** Why a document shows what was known last, and how to go on. */
export function ConnectionNotice(props: {
  himalia: IHimalia;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { himalia, trans } = props;
  const { connection, problem } = himalia;
  if (!isAway(connection)) {
    return null;
  }
  return (
    <section className="jp-Himalia-step" aria-label={trans.__('Connection')}>
      <div className="jp-Himalia-stepText" role="status">
        <StateDot state={connection} compact trans={trans} />
        <div>
          <p className="jp-Himalia-stepTitle">{awayText(connection, trans)}</p>
          {problem && <p>{[problem.message, problem.hint].filter(Boolean).join(' ')}</p>}
          <p>{trans.__('Below is what was known last.')}</p>
        </div>
      </div>
      {connection === 'stopped' && (
        <div className="jp-Himalia-stepActions">
          <ActionButton
            label={trans.__('Start the service')}
            primary
            onClick={() => void himalia.start()}
          />
        </div>
      )}
    </section>
  );
}

function awayText(connection: Connection, trans: TranslationBundle): string {
  switch (connection) {
    case 'stopped':
      return trans.__('Himalia’s service does not run.');
    case 'starting':
      return trans.__('Himalia’s service starts…');
    case 'lost':
      return trans.__('The Jupyter server does not answer. Trying again…');
    default:
      return trans.__('Himalia cannot be used here now.');
  }
}
