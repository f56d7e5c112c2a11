import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { useHimalia, useStore } from '../components';
import { IHimalia, IProjectStore } from '../tokens';
import { Notice } from './notice';
import { hindrance } from './state';

/** Shows a document once its project can be asked; before that, why it cannot. */
export function StoreGate(props: {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  /** The project that the document belongs to. */
  slug: string;
  children: (store: IProjectStore) => React.ReactElement;
}): React.ReactElement {
  const { commands, trans, slug, children } = props;
  const himalia = useHimalia(props.himalia);
  const store = useStore(himalia.store);
  if (store?.slug === slug) {
    // a connection that is lost for a moment does not take the page away; the status bar tells of it
    return children(store);
  }
  const reason = hindrance(
    himalia,
    slug,
    {
      start: () => void himalia.start(),
      open: other => void commands.execute(CommandIDs.openProject, { slug: other })
    },
    trans
  );
  if (reason && reason.kind !== 'page') {
    return (
      <div className="jp-Himalia-frameNotice">
        <Notice notice={reason.notice} trans={trans} />
      </div>
    );
  }
  return <></>;
}
