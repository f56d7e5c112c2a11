import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import { CommandIDs } from '../commands';
import { himaliaIcon } from '../icons';
import { showServiceDialog } from './dialog';
import { ServiceModel } from './model';
import { ServiceStatusItem } from './statusItem';

const PLUGIN_ID = 'himalia:service';

/** Whether Himalia's service runs: status bar, palette, dialog. */
export const servicePlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: "Shows whether Himalia's service runs and starts it.",
  autoStart: true,
  optional: [ITranslator, ICommandPalette, IStatusBar, ISettingRegistry],
  activate
};

function activate(
  app: JupyterFrontEnd,
  translator: ITranslator | null,
  palette: ICommandPalette | null,
  statusBar: IStatusBar | null,
  settings: ISettingRegistry | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  const model = new ServiceModel(app.serviceManager.serverSettings);

  app.commands.addCommand(CommandIDs.serviceStatus, {
    label: trans.__('Himalia Service Status'),
    caption: trans.__("Show whether Himalia's service runs"),
    icon: himaliaIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    execute: async () => {
      await model.refresh();
      await showServiceDialog(model, trans);
    }
  });
  palette?.addItem({ command: CommandIDs.serviceStatus, category: trans.__('Himalia') });

  if (statusBar) {
    const showStatus = () => void app.commands.execute(CommandIDs.serviceStatus);
    addStatusItem(app, statusBar, settings, new ServiceStatusItem(model, trans, showStatus));
    askWhenSeen(app, model);
  }
}

function addStatusItem(
  app: JupyterFrontEnd,
  statusBar: IStatusBar,
  settings: ISettingRegistry | null,
  item: ServiceStatusItem
): void {
  const shownChanged = new Signal<object, void>(item);
  let shown = true;
  statusBar.registerStatusItem(PLUGIN_ID, {
    align: 'left',
    item,
    rank: 100,
    isActive: () => shown,
    activeStateChanged: shownChanged
  });
  if (!settings) {
    return;
  }
  void Promise.all([settings.load(PLUGIN_ID), app.restored]).then(([own]) => {
    const apply = () => {
      shown = own.get('showStatus').composite !== false;
      shownChanged.emit();
    };
    own.changed.connect(apply);
    apply();
  });
}

/** Ask once when the application stands, and again whenever the page comes into view. */
function askWhenSeen(app: JupyterFrontEnd, model: ServiceModel): void {
  void app.restored.then(() => model.refresh());
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) {
      void model.refresh();
    }
  });
}
