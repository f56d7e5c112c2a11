import {
  ILabShell,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../commands';
import { Documents } from '../frame/documents';
import { himaliaIcon } from '../icons';
import { asksForDocument } from '../service/place';
import { IHimalia } from '../tokens';

const PLUGIN_ID = 'himalia:overview';

/** The project's home: what to do next, the pipeline's graph, and what it has led to. */
export const overviewPlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Shows the home of the open project.',
  autoStart: true,
  requires: [IHimalia],
  optional: [ITranslator, ICommandPalette, ILayoutRestorer, ILabShell, ISettingRegistry, ILauncher],
  activate
};

function activate(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  translator: ITranslator | null,
  palette: ICommandPalette | null,
  restorer: ILayoutRestorer | null,
  labShell: ILabShell | null,
  settings: ISettingRegistry | null,
  launcher: ILauncher | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  const documents = new Documents(app, 'himalia-overview', CommandIDs.openOverview, restorer);
  app.commands.addCommand(CommandIDs.openOverview, {
    label: trans.__('Open the Overview'),
    caption: trans.__('The home of the open project: its pipeline, results and endpoints'),
    icon: himaliaIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    execute: async () => {
      const { makeOverview } = await import('./document');
      await documents.open('project', {}, async () =>
        makeOverview({ himalia, commands: app.commands, trans })
      );
    }
  });
  palette?.addItem({ command: CommandIDs.openOverview, category: trans.__('Himalia') });
  launcher?.add({ command: CommandIDs.openOverview, category: trans.__('Himalia'), rank: 10 });
  if (labShell) {
    void openWithProject(app, himalia, labShell, settings);
  }
}

/** Open the overview once there is a project, unless the page shows something else already. */
async function openWithProject(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  labShell: ILabShell,
  settings: ISettingRegistry | null
): Promise<void> {
  await app.restored;
  const own = await settings?.load(PLUGIN_ID).catch(() => null);
  const look = () => {
    if (himalia.store === null) {
      return;
    }
    himalia.changed.disconnect(look);
    if (
      own?.get('openWithProject').composite !== false &&
      isBlank(labShell) &&
      !asksForDocument()
    ) {
      void app.commands.execute(CommandIDs.openOverview).then(() => closeLaunchers(labShell));
    }
  };
  himalia.changed.connect(look);
  look();
}

/** Whether the main area shows nothing, or nothing but launchers. */
function isBlank(labShell: ILabShell): boolean {
  for (const widget of labShell.widgets('main')) {
    if (!widget.id.startsWith('launcher')) {
      return false;
    }
  }
  return true;
}

/** What JupyterLab puts into an empty main area is not needed beside the overview. */
function closeLaunchers(labShell: ILabShell): void {
  for (const widget of [...labShell.widgets('main')]) {
    if (widget.id.startsWith('launcher')) {
      widget.close();
    }
  }
}
