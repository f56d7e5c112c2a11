import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { watchStore } from '../frame/watch';
import { LINK } from '../service/place';
import { IHimalia, ISidebar } from '../tokens';
import type { INoticeParts } from './follow';
import { readIcon } from './icons';
import { noticesOf } from './question';

const NoticesSection = React.lazy(() => import('./section'));

/** Notices: who is told in JupyterLab that a schedule has failed, or works again; and what links of notices show. */
export const noticesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:notices',
  description: 'Tells of failures and recoveries of schedules, and shows what their links name.',
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
  const { commands } = app;
  const parts: INoticeParts = { himalia, commands, trans };
  const unread = () => (himalia.store && noticesOf(himalia.store).value?.unread) ?? 0;
  const describedBy = { args: { type: 'object', properties: { notice: { type: 'string' } } } };
  commands.addCommand(CommandIDs.readNotices, {
    label: trans.__('Mark All Notices as Read'),
    caption: trans.__('There is no new notice.'),
    icon: readIcon,
    describedBy,
    isEnabled: () => unread() > 0,
    execute: async args => {
      const { markRead } = await import('./follow');
      await markRead(parts, typeof args.notice === 'string' ? args.notice : null);
    }
  });
  palette?.addItem({ command: CommandIDs.readNotices, category: trans.__('Himalia') });
  if (sidebar) {
    commands.addCommand(CommandIDs.showNotices, {
      label: trans.__('Show Notices'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => sidebar.reveal('notices')
    });
    palette?.addItem({ command: CommandIDs.showNotices, category: trans.__('Himalia') });
    sidebar.add({
      id: 'notices',
      title: trans.__('Notices'),
      rank: 36,
      toolbar: [{ command: CommandIDs.readNotices, icon: readIcon }],
      badge: () => (unread() > 0 ? trans._n('%1 new', '%1 new', unread()) : null),
      render: store => lazySection(NoticesSection, { ...parts, store })
    });
  }
  followNotices(parts);
  if (LINK) {
    void app.restored
      .then(() => import('./follow'))
      .then(({ followAddress }) => followAddress(parts, LINK));
  }
}

/** Tell of each notice when it comes, or when a page is opened or seen after it has come. */
function followNotices(parts: INoticeParts): void {
  const { himalia } = parts;
  let known: unknown = null;
  let told = false;
  const look = () => {
    // a page that nobody sees leaves it to one that is seen
    const value = himalia.store && !document.hidden ? noticesOf(himalia.store).value : null;
    if (value && value !== known && (told || value.unread > 0)) {
      known = value;
      told = true;
      void import('./telling').then(({ tell }) => tell(parts, value.items));
    }
  };
  watchStore(himalia, look);
  document.addEventListener('visibilitychange', look);
}
