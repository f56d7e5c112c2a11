import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { ActionButton, notifyProblem } from '../components';
import type { IHimalia, IProjectStore } from '../tokens';
import { editManifest } from './editing';
import { editOfHint } from './hints';

/** Writes what a hint says into himalia.toml; nothing when it says no such thing, or when it is written already. */
export function MendButton(props: {
  himalia: IHimalia;
  store: IProjectStore;
  hint: string | null;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { himalia, store, hint, trans } = props;
  const [busy, setBusy] = React.useState(false);
  const edit = editOfHint(hint);
  const [, name, key] = edit?.path ?? [];
  const stage = store.project.stages.find(other => other.name === name);
  const wanted = edit?.value as string[] | undefined;
  const known: readonly string[] = (key === 'inputs' && stage?.inputs) || [];
  if (!edit || !stage || wanted?.every(path => known.includes(path))) {
    return null;
  }
  const added = wanted?.filter(path => !known.includes(path)) ?? [];
  const mend = async () => {
    setBusy(true);
    try {
      await editManifest(himalia, store.slug, [edit]);
      Notification.success(trans.__('%1 has the input %2 now.', name, added.join(', ')), {
        autoClose: 5000
      });
    } catch (error) {
      notifyProblem(trans.__('himalia.toml was not changed.'), error, trans);
    } finally {
      setBusy(false);
    }
  };
  return (
    <ActionButton
      label={trans.__('Add to inputs')}
      title={trans.__('Write %1 into himalia.toml, as an input of %2', added.join(', '), name)}
      busy={busy}
      disabledReason={refusedBy(store.project.role, 'project.edit', trans)}
      onClick={() => void mend()}
    />
  );
}
