import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { addIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { IHimalia, ISidebar } from '../tokens';
import { addTeamCommands } from './commands';

const TeamSection = React.lazy(() => import('./section'));

/** The team: who belongs to the open project, and as what. */
export const teamPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:team',
  description: 'Shows the members of the open project and their roles; adds and removes members.',
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
  addTeamCommands(app, himalia, trans);
  palette?.addItem({ command: CommandIDs.setMember, category: trans.__('Himalia') });
  sidebar?.add({
    id: 'team',
    title: trans.__('Team'),
    rank: 90,
    toolbar: [{ command: CommandIDs.setMember, icon: addIcon }],
    render: store => lazySection(TeamSection, { himalia, store, commands: app.commands, trans })
  });
}
