import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { runIcon } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { packageIcon } from '../frame/icons';
import { IHimalia, ISidebar } from '../tokens';
import { addEnvironmentCommands } from './commands';
// eslint-disable-next-line jupyter/prefer-lazy-imports -- each notebook's toolbar has it
import { OutdatedNotice } from './notice';

import { awaitsManifest, environmentOf, failedToBuild } from './question';

const EnvironmentSection = React.lazy(() => import('./section'));

/** Environments: state, build and log, and a notice on notebooks whose kernel has an older one. */
export const environmentsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:environments',
  description: 'Builds and shows the environment of the open project.',
  autoStart: true,
  requires: [IHimalia],
  optional: [
    ITranslator,
    ISidebar,
    ICommandPalette,
    ILayoutRestorer,
    IToolbarWidgetRegistry,
    ISettingRegistry
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
  toolbars: IToolbarWidgetRegistry | null,
  settings: ISettingRegistry | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  for (const command of addEnvironmentCommands({ app, himalia, restorer, trans })) {
    palette?.addItem({ command, category: trans.__('Himalia') });
  }
  let tells = true;
  void settings?.load(environmentsPlugin.id).then(own => {
    const apply = () => (tells = own.get('notice').composite !== false);
    own.changed.connect(apply);
    apply();
  });
  toolbars?.addFactory('Notebook', 'himalia-environment', (panel: Widget) =>
    panel instanceof NotebookPanel
      ? new OutdatedNotice(panel.sessionContext, himalia, app.commands, trans, () => tells)
      : new Widget()
  );
  sidebar?.add({
    id: 'environment',
    title: trans.__('Environment'),
    rank: 60,
    toolbar: [
      { command: CommandIDs.openEnvironment, icon: packageIcon },
      { command: CommandIDs.buildEnvironment, icon: runIcon }
    ],
    badge: store => {
      const environment = environmentOf(store);
      if (environment && awaitsManifest(store, environment)) {
        return null;
      }
      switch (environment?.state) {
        case 'building':
          return trans.__('building');
        case 'failed':
          return failedToBuild(environment) ? trans.__('failed') : trans.__('problem');
        case 'outdated':
          return trans.__('outdated');
        default:
          return environment?.kernels_outdated.length ? trans.__('restart') : null;
      }
    },
    render: store => lazySection(EnvironmentSection, { store, commands: app.commands, trans })
  });
}
