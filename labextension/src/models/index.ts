import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { trackingIcon } from '../frame/icons';
import { IHimalia, ISidebar } from '../tokens';
import { addModelCommands } from './commands';

const ModelSection = React.lazy(() => import('./section'));

/** Registered models: the sidebar's section, aliases, and MLflow in a tab. */
export const modelsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:models',
  description: 'Shows the registered models of the open project, and MLflow.',
  autoStart: true,
  requires: [IHimalia],
  optional: [ITranslator, ISidebar, ICommandPalette, ILayoutRestorer],
  activate
};

function activate(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  translator: ITranslator | null,
  sidebar: ISidebar | null,
  palette: ICommandPalette | null,
  restorer: ILayoutRestorer | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  addModelCommands(app, himalia, trans, restorer);
  palette?.addItem({ command: CommandIDs.openMlflow, category: trans.__('Himalia') });
  sidebar?.add({
    id: 'models',
    title: trans.__('Models'),
    rank: 40,
    toolbar: [{ command: CommandIDs.openMlflow, icon: trackingIcon }],
    render: store => lazySection(ModelSection, { store, commands: app.commands, trans })
  });
}
