import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { addIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { IHimalia, ISidebar } from '../tokens';
import { addClusterCommands } from './commands';
// eslint-disable-next-line jupyter/prefer-lazy-imports -- the list asks for it at once
import { addRunningClusters } from './running';

const ClusterSection = React.lazy(() => import('./section'));

const PLUGIN_ID = 'himalia:clusters';

/** Dask clusters: the sidebar's section, start, scale, stop, and the dashboard in a tab. */
export const clustersPlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Starts and shows the clusters of the open project.',
  autoStart: true,
  requires: [IHimalia],
  optional: [
    ITranslator,
    ISidebar,
    ICommandPalette,
    ILayoutRestorer,
    ISettingRegistry,
    IRunningSessionManagers
  ],
  activate
};

function activate(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  translator: ITranslator | null,
  sidebar: ISidebar | null,
  palette: ICommandPalette | null,
  restorer: ILayoutRestorer | null,
  settings: ISettingRegistry | null,
  running: IRunningSessionManagers | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  const firstPage = async () => {
    const own = await settings?.load(PLUGIN_ID).catch(() => null);
    const page = own?.get('dashboardPage').composite;
    return typeof page === 'string' ? page : 'status';
  };
  const commands = addClusterCommands({ app, himalia, trans, restorer, firstPage });
  for (const command of commands) {
    palette?.addItem({ command, category: trans.__('Himalia') });
  }
  if (running) {
    addRunningClusters(running, app.commands, himalia, trans);
  }
  sidebar?.add({
    id: 'clusters',
    title: trans.__('Clusters'),
    rank: 20,
    toolbar: [{ command: CommandIDs.startCluster, icon: addIcon }],
    badge: store =>
      store.clusters.items?.some(cluster => cluster.state === 'failed') ? trans.__('failed') : null,
    render: store => lazySection(ClusterSection, { store, commands: app.commands, trans })
  });
}
