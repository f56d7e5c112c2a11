import { DocumentRegistry } from '@jupyterlab/docregistry';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { whyNot } from '../api/roles';
import { CommandIDs } from '../commands';
import { IconButton } from '../components/ActionButton';
import { useHimalia, useStore } from '../components/hooks';
import { StateDot } from '../components/StateDot';
import { inProject } from '../frame/chosenNotebook';
import type { IHimalia } from '../tokens';
import { verifyIcon } from './icons';
import { verificationOf, verificationState, verificationWord, vouchedFor } from './question';

/** Of which notebook. */
export interface IBadgeProps {
  context: DocumentRegistry.Context;
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** In a notebook's toolbar: verify it, and what the last verification has found. */
export default function Badge(props: IBadgeProps): React.ReactElement | null {
  const { context, commands, trans } = props;
  const himalia = useHimalia(props.himalia);
  const store = useStore(himalia.store);
  const [path, setPath] = React.useState(context.path);
  React.useEffect(() => {
    const moved = () => setPath(context.path);
    context.pathChanged.connect(moved);
    return () => {
      context.pathChanged.disconnect(moved);
    };
  }, [context]);
  const notebook = store && inProject(store, path);
  if (!store || notebook === null) {
    return null;
  }
  const found = verificationOf(store, notebook);
  const stage = vouchedFor(store, notebook);
  const busy = found?.status === 'running';
  return (
    <>
      <IconButton
        icon={verifyIcon}
        label={trans.__('Verify: run it in a clean kernel and compare')}
        disabledReason={
          busy ? trans.__('it is being verified') : whyNot(himalia, 'verify.start', trans)
        }
        onClick={() => void commands.execute(CommandIDs.verify, { path })}
      />
      {stage && (
        <button
          type="button"
          className="jp-Himalia-verifyBadge"
          title={trans.__(
            'It shows what stage %1 has shown: open the run %2',
            stage.stage,
            stage.run
          )}
          onClick={() =>
            void commands.execute(CommandIDs.openRun, { run: stage.run, slug: store.slug })
          }
        >
          <StateDot state="verified" label={trans.__('verified by its run')} trans={trans} />
        </button>
      )}
      {found && !stage && (
        <button
          type="button"
          className="jp-Himalia-verifyBadge"
          title={trans.__('Open what the verification has found')}
          onClick={() =>
            void commands.execute(CommandIDs.openVerification, { verification: found.id })
          }
        >
          <StateDot
            state={verificationState(found)}
            label={verificationWord(found, trans)}
            trans={trans}
          />
        </button>
      )}
    </>
  );
}
