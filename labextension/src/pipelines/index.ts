import {
  ILabShell,
  ILayoutRestorer,
  IRouter,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { editIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { hasEnded } from '../components/states';
import { IHimalia, ISidebar } from '../tokens';
import { addPipelineCommands } from './commands';
// eslint-disable-next-line jupyter/prefer-lazy-imports -- the drive is needed when tabs are restored
import { addExecutedNotebooks } from './executedCommand';
// eslint-disable-next-line jupyter/prefer-lazy-imports -- the list asks for it at once
import { addRunningRuns } from './running';
import { pipelineIcon } from './icons';
// eslint-disable-next-line jupyter/prefer-lazy-imports -- the badge asks for it at once
import { pipelineRuns, wentWrong } from './rows';

const PipelineSection = React.lazy(() => import('./pipelineSection'));
const RunsSection = React.lazy(() => import('./runsSection'));

/** Pipelines: stages and runs in the sidebar, run and cancel, run documents, executed notebooks. */
export const pipelinesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:pipelines',
  description: 'Runs the pipeline of the open project, and shows runs and what they executed.',
  autoStart: true,
  requires: [IHimalia],
  optional: [
    ITranslator,
    ISidebar,
    ICommandPalette,
    ILauncher,
    ILayoutRestorer,
    IDocumentManager,
    IRunningSessionManagers,
    ILabShell,
    IRouter,
    IFileBrowserFactory
  ],
  activate
};

function activate(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  translator: ITranslator | null,
  sidebar: ISidebar | null,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  restorer: ILayoutRestorer | null,
  manager: IDocumentManager | null,
  running: IRunningSessionManagers | null,
  labShell: ILabShell | null,
  router: IRouter | null,
  browser: IFileBrowserFactory | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  addPipelineCommands({ app, himalia, restorer, browser, trans });
  if (manager) {
    addExecutedNotebooks({ app, himalia, manager, restorer, labShell, router, trans });
  }
  const category = trans.__('Himalia');
  for (const command of [
    CommandIDs.openPipeline,
    CommandIDs.editStage,
    CommandIDs.runPipeline,
    CommandIDs.runWithParameters,
    CommandIDs.startSweep,
    CommandIDs.cancelRun
  ]) {
    palette?.addItem({ command, category });
  }
  launcher?.add({ command: CommandIDs.runPipeline, category, rank: 20 });
  if (sidebar) {
    addSections(app, sidebar, trans);
  }
  if (running) {
    addRunningRuns(running, app.commands, himalia, trans);
  }
}

function addSections(app: JupyterFrontEnd, sidebar: ISidebar, trans: TranslationBundle): void {
  const { commands } = app;
  sidebar.add({
    id: 'pipeline',
    title: trans.__('Pipeline'),
    rank: 10,
    toolbar: [
      { command: CommandIDs.cancelRun, args: { toolbar: 'true' }, icon: stopIcon },
      { command: CommandIDs.openPipeline, icon: pipelineIcon },
      { command: CommandIDs.runWithParameters, icon: editIcon },
      { command: CommandIDs.runPipeline, icon: runIcon }
    ],
    badge: store => {
      const status = pipelineRuns(store.runs.items ?? [])[0]?.status ?? '';
      return hasEnded(status) && wentWrong(status) ? trans.__('failed') : null;
    },
    render: store => lazySection(PipelineSection, { store, commands, trans })
  });
  sidebar.add({
    id: 'runs',
    title: trans.__('Runs'),
    rank: 30,
    render: store => lazySection(RunsSection, { store, commands, trans })
  });
}
