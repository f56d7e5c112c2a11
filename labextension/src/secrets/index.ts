import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { addIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { IHimalia, ISidebar } from '../tokens';
import { addSecretCommands } from './commands';

const SecretSection = React.lazy(() => import('./section'));

/** Secrets: names in the sidebar, set and delete. No value ever comes back from the service. */
export const secretsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:secrets',
  description: 'Sets secrets of the open project, which its kernels and stages get as variables.',
  autoStart: true,
  requires: [IHimalia],
  optional: [ITranslator, ISidebar, ICommandPalette],
  activate
};

function activate(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  translator: ITranslator | null,
  sidebar: ISidebar | null,
  palette: ICommandPalette | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  addSecretCommands(app, himalia, trans);
  palette?.addItem({ command: CommandIDs.setSecret, category: trans.__('Himalia') });
  sidebar?.add({
    id: 'secrets',
    title: trans.__('Secrets'),
    rank: 80,
    toolbar: [{ command: CommandIDs.setSecret, icon: addIcon }],
    render: store => lazySection(SecretSection, { store, commands: app.commands, trans })
  });
}
