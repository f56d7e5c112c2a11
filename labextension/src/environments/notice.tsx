import { ISessionContext } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, refreshIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { useHimalia, useSignal, useStore } from '../components/hooks';
import type { IHimalia } from '../tokens';
import { isOutdated } from './question';

/** In a notebook's toolbar: its kernel runs with an older environment. A click restarts it. */
export class OutdatedNotice extends ReactWidget {
  constructor(
    private readonly _session: ISessionContext,
    private readonly _himalia: IHimalia,
    private readonly _commands: CommandRegistry,
    private readonly _trans: TranslationBundle,
    private readonly _tells: () => boolean
  ) {
    super();
    this.addClass('jp-Himalia-outdated');
  }

  protected render(): React.ReactElement {
    return (
      <Notice
        session={this._session}
        himalia={this._himalia}
        commands={this._commands}
        trans={this._trans}
        tells={this._tells}
      />
    );
  }
}

function Notice(props: {
  session: ISessionContext;
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  tells: () => boolean;
}): React.ReactElement | null {
  const { session, himalia, commands, trans, tells } = props;
  const store = useStore(useHimalia(himalia).store);
  useSignal(session.kernelChanged);
  const kernel = session.session?.kernel?.id;
  if (!tells() || !isOutdated(store, kernel)) {
    return null;
  }
  return (
    <button
      type="button"
      className="jp-Himalia-outdatedButton"
      title={trans.__(
        'The packages of %1 have changed since this kernel was started. Restart it to use them; its variables are lost.',
        store?.slug ?? ''
      )}
      onClick={() => void commands.execute(CommandIDs.restartOutdated, { kernel })}
    >
      <refreshIcon.react tag="span" aria-hidden="true" />
      <span>{trans.__('Older packages: restart')}</span>
    </button>
  );
}
