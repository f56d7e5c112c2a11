import * as React from 'react';

import { ActionButton } from './ActionButton';

/** Nothing is here yet: one sentence, and the one next step. */
export function EmptyState(props: {
  text: string;
  action?: { label: string; onClick: () => void; disabledReason?: string | null };
}): React.ReactElement {
  return (
    <div className="jp-Himalia-empty">
      <p>{props.text}</p>
      {props.action && <ActionButton {...props.action} />}
    </div>
  );
}
