import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ActionButton, ProblemMessage, StateDot } from '../components';
import { INotice } from './state';

/** Why there is nothing to show yet, in the middle of a document. */
export function Notice(props: { notice: INotice; trans: TranslationBundle }): React.ReactElement {
  const { notice, trans } = props;
  return (
    <div className="jp-Himalia-frameNoticeBody">
      <p role="status">
        {notice.busy && <StateDot state="starting" compact trans={trans} />}
        {notice.text}
      </p>
      {notice.problem && <ProblemMessage problem={notice.problem} trans={trans} />}
      {notice.action && <ActionButton primary {...notice.action} />}
    </div>
  );
}
