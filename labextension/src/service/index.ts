import {
  ILabShell,
  ILabStatus,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, IWindowResolver } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import { CommandIDs } from '../commands';
import { himaliaIcon } from '../icons';
import { IHimalia } from '../tokens';
import { Himalia } from './himalia';
import { browserParts } from './parts';
import { askedFor } from './place';
import { ServiceStatusItem } from './statusItem';

const PLUGIN_ID = 'himalia:service';

/** The connection to Himalia's service, on which all rooms stand; status bar, palette, dialog. */
export const servicePlugin: JupyterFrontEndPlugin<IHimalia> = {
  id: PLUGIN_ID,
  description: "Connects the page with Himalia's service, and shows how they stand to each other.",
  autoStart: true,
  provides: IHimalia,
  optional: [
    ITranslator,
    ILabShell,
    IStateDB,
    ISettingRegistry,
    ICommandPalette,
    IStatusBar,
    ILayoutRestorer,
    IWindowResolver,
    ILabStatus
  ],
  activate
};

function activate(
  app: JupyterFrontEnd,
  translator: ITranslator | null,
  labShell: ILabShell | null,
  state: IStateDB | null,
  settings: ISettingRegistry | null,
  palette: ICommandPalette | null,
  statusBar: IStatusBar | null,
  restorer: ILayoutRestorer | null,
  resolver: IWindowResolver | null,
  status: ILabStatus | null
): IHimalia {
  const trans = (translator ?? nullTranslator).load('himalia');
  let savesSilently = true;
  const keepers = { restorer, resolver, status, savesSilently: () => savesSilently };
  const himalia = new Himalia(browserParts(app, labShell, state, trans, keepers));
  addCommands(app, himalia, trans);
  for (const command of [CommandIDs.serviceStatus, CommandIDs.startService]) {
    palette?.addItem({ command, category: trans.__('Himalia') });
  }
  const shown = new Signal<object, void>(himalia);
  let showStatus = true;
  if (statusBar) {
    statusBar.registerStatusItem(PLUGIN_ID, {
      align: 'left',
      item: new ServiceStatusItem(himalia, trans, () => showMore(app, himalia)),
      rank: 100,
      isActive: () => showStatus,
      activeStateChanged: shown
    });
  }
  const ready = settings?.load(PLUGIN_ID).then(own => {
    const apply = () => {
      himalia.machine.startsService = own.get('startService').composite !== false;
      savesSilently = own.get('leaveUnsaved').composite !== 'ask';
      showStatus = own.get('showStatus').composite !== false;
      shown.emit();
    };
    own.changed.connect(apply);
    apply();
  });
  // a page of Notebook 7 needs a connection only when it was opened for a project
  const wanted = labShell !== null || askedFor(window.location.search) !== '';
  void Promise.all([app.restored, ready?.catch(() => undefined)]).then(() => {
    follow(app, himalia);
    if (wanted) {
      void himalia.machine.begin();
    }
  });
  return himalia;
}

function addCommands(app: JupyterFrontEnd, himalia: Himalia, trans: TranslationBundle): void {
  const describedBy = { args: { type: 'object', properties: {} } } as const;
  app.commands.addCommand(CommandIDs.serviceStatus, {
    label: trans.__('Himalia: Service Status'),
    caption: trans.__("Show whether Himalia's service runs"),
    icon: himaliaIcon,
    describedBy,
    execute: async () => {
      const { showServiceDialog } = await import('./dialog');
      await showServiceDialog(himalia, trans);
    }
  });
  app.commands.addCommand(CommandIDs.startService, {
    label: trans.__('Start Himalia'),
    caption: trans.__("Start Himalia's service when it does not run"),
    icon: himaliaIcon,
    describedBy,
    isEnabled: () => himalia.connection !== 'live' && himalia.connection !== 'starting',
    execute: () => himalia.start()
  });
  himalia.changed.connect(() => app.commands.notifyCommandChanged(CommandIDs.startService));
}

/** A click on the status bar: the sidebar, or why there is nothing to show in it. */
function showMore(app: JupyterFrontEnd, himalia: Himalia): void {
  const canShow = himalia.connection === 'live' && app.commands.hasCommand(CommandIDs.showSidebar);
  void app.commands.execute(canShow ? CommandIDs.showSidebar : CommandIDs.serviceStatus);
}

/** Connect while the page is seen, and look again at what can change without the service knowing. */
function follow(app: JupyterFrontEnd, himalia: Himalia): void {
  document.addEventListener('visibilitychange', () => {
    himalia.machine.visibilityChanged();
    if (!document.hidden) {
      himalia.seen();
    }
  });
  window.addEventListener('online', () => himalia.machine.online());
  app.serviceManager.contents.fileChanged.connect((_, change) => {
    const path = change.newValue?.path;
    if (path && change.type !== 'delete') {
      himalia.saved(path);
    }
  });
}
