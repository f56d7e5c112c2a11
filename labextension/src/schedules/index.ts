import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { IHimalia, ISidebar } from '../tokens';
import { addScheduleCommands } from './commands';
import { scheduleIcon } from './icons';

import { schedulesOf } from './question';

const SchedulesSection = React.lazy(() => import('./section'));

/** Schedules: pipelines and notebooks that run by the clock. */
export const schedulesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:schedules',
  description: 'Runs the pipeline or a notebook of the open project by the clock.',
  autoStart: true,
  requires: [IHimalia],
  optional: [ITranslator, ISidebar, ICommandPalette, ILayoutRestorer, IFileBrowserFactory],
  activate
};

function activate(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  translator: ITranslator | null,
  sidebar: ISidebar | null,
  palette: ICommandPalette | null,
  restorer: ILayoutRestorer | null,
  browser: IFileBrowserFactory | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  addScheduleCommands({ app, himalia, restorer, browser, trans });
  const category = trans.__('Himalia');
  palette?.addItem({ command: CommandIDs.schedule, category });
  palette?.addItem({ command: CommandIDs.schedule, args: { pipeline: true }, category });
  sidebar?.add({
    id: 'schedules',
    title: trans.__('Schedules'),
    rank: 35,
    toolbar: [
      { command: CommandIDs.schedule, args: { pipeline: true } as never, icon: scheduleIcon }
    ],
    badge: store => {
      const count = (schedulesOf(store).value ?? []).filter(({ trouble }) => trouble).length;
      return count > 0 ? trans.__('problem') : null;
    },
    render: store => lazySection(SchedulesSection, { store, commands: app.commands, trans })
  });
}
