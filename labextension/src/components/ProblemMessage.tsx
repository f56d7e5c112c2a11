import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IProblem } from '../tokens';
import { ActionButton } from './ActionButton';
import { StateDot } from './StateDot';

/** What happened and what to do; the technical part folds. */
export function ProblemMessage(props: {
  problem: IProblem;
  trans: TranslationBundle;
  /** While the promise of `onClick` is not settled the button is busy, with `busyLabel`. */
  action?: { label: string; busyLabel?: string; onClick: () => void | Promise<void> };
}): React.ReactElement {
  const { problem, trans, action } = props;
  const [busy, setBusy] = React.useState(false);
  const act = () => {
    const acting = action?.onClick();
    if (acting) {
      setBusy(true);
      void acting.finally(() => setBusy(false));
    }
  };
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
        {action && (
          <ActionButton
            label={(busy && action.busyLabel) || action.label}
            busy={busy}
            onClick={act}
          />
        )}
      </div>
    </div>
  );
}
