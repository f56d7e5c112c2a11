import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { addIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { deployIcon } from '../frame/icons';
import { IHimalia, ISidebar } from '../tokens';
import { addComponentCommands } from './commands';

import { COMPONENTS, newer } from './question';
import type { ProjectComponents } from '../api/types';

const UsesSection = React.lazy(() => import('./section'));

/** Components: what the project uses of others and publishes itself, and what a newer version would change. */
export const componentsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:components',
  description: 'Uses and publishes components: code that is written once for many projects.',
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
  for (const command of addComponentCommands(app, himalia, trans, restorer)) {
    palette?.addItem({ command, category: trans.__('Himalia') });
  }
  sidebar?.add({
    id: 'components',
    title: trans.__('Components'),
    rank: 70,
    toolbar: [
      { command: CommandIDs.publishComponent, icon: deployIcon },
      { command: CommandIDs.useComponent, icon: addIcon }
    ],
    badge: store => {
      const uses = store.part<ProjectComponents>(COMPONENTS).value?.uses ?? [];
      const count = uses.filter(use => newer(use) !== null).length;
      if (uses.some(({ problem }) => problem)) {
        return trans.__('problem');
      }
      return count > 0 ? trans._n('%1 update', '%1 updates', count) : null;
    },
    render: store => lazySection(UsesSection, { store, commands: app.commands, trans })
  });
}
