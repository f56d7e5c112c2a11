import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { deployIcon } from '../frame/icons';
import { IHimalia, ISidebar } from '../tokens';
import { addDeploymentCommands } from './commands';
// eslint-disable-next-line jupyter/prefer-lazy-imports -- the list asks for it at once
import { addRunningEndpoints } from './running';

const DeploymentSection = React.lazy(() => import('./section'));

/** Endpoints: the sidebar's section, deploy, confirm, delete, and a document with a form to try one. */
export const deploymentsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:deployments',
  description: 'Deploys models of the open project, and tries their endpoints.',
  autoStart: true,
  requires: [IHimalia],
  optional: [ITranslator, ISidebar, ICommandPalette, ILayoutRestorer, IRunningSessionManagers],
  activate
};

function activate(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  translator: ITranslator | null,
  sidebar: ISidebar | null,
  palette: ICommandPalette | null,
  restorer: ILayoutRestorer | null,
  running: IRunningSessionManagers | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  for (const command of addDeploymentCommands(app, himalia, trans, restorer)) {
    palette?.addItem({ command, category: trans.__('Himalia') });
  }
  if (running) {
    addRunningEndpoints(running, app.commands, himalia, trans);
  }
  sidebar?.add({
    id: 'deployments',
    title: trans.__('Deployments'),
    rank: 50,
    toolbar: [{ command: CommandIDs.deploy, icon: deployIcon }],
    badge: store => {
      const items = store.deployments.items ?? [];
      const waiting = items.filter(item => item.requested_version).length;
      if (waiting > 0) {
        return trans._n('%1 waits', '%1 wait', waiting);
      }
      return items.some(item => item.state === 'failed') ? trans.__('failed') : null;
    },
    render: store => lazySection(DeploymentSection, { store, commands: app.commands, trans })
  });
}
