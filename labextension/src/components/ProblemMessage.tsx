import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IProblem } from '../tokens';
import { ActionButton } from './ActionButton';
import { StateDot } from './StateDot';

/** What happened and what to do; the technical part folds. */
export function ProblemMessage(props: {
  problem: IProblem;
  trans: TranslationBundle;
  action?: { label: string; onClick: () => void };
}): React.ReactElement {
  const { problem, trans, action } = props;
  return (
    <div className="jp-Himalia-problem" role="alert">
      <StateDot state="refused" label={trans.__('Problem')} compact trans={trans} />
      <div className="jp-Himalia-problemText">
        <p>{problem.message}</p>
        {problem.hint && <p>{problem.hint}</p>}
        {problem.technical && (
          <details>
            <summary>{trans.__('Details')}</summary>
            <pre>{problem.technical}</pre>
          </details>
        )}
        {action && <ActionButton label={action.label} onClick={action.onClick} />}
      </div>
    </div>
  );
}
