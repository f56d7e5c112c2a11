import { ILabShell, ILayoutRestorer, IRouter, JupyterFrontEnd } from '@jupyterlab/application';
import { WidgetTracker } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import type { IDocumentWidget } from '@jupyterlab/docregistry';
import { TranslationBundle } from '@jupyterlab/translation';
import { historyIcon } from '@jupyterlab/ui-components';

import { CommandIDs } from '../commands';
import type { IHimalia } from '../tokens';
import { slugOf } from './commands';
import { DRIVE, readPath, RunsDrive } from './drive';

/** What executed notebooks stand on. */
export interface IExecutedParts {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  manager: IDocumentManager;
  restorer: ILayoutRestorer | null;
  labShell: ILabShell | null;
  router: IRouter | null;
  trans: TranslationBundle;
}

/** Register the drive of executed notebooks and the command that opens one. */
export function addExecutedNotebooks(parts: IExecutedParts): void {
  const { app, himalia, restorer, trans } = parts;
  const { contents, serverSettings } = app.serviceManager;
  contents.addDrive(new RunsDrive(serverSettings, trans));
  const tracker = new WidgetTracker<IDocumentWidget>({ namespace: 'himalia-executed' });
  const text = { type: 'string' };
  const number = { type: 'integer' };
  let restored = restorer === null;
  void app.restored.then(() => (restored = true));
  app.commands.addCommand(CommandIDs.openExecutedNotebook, {
    label: trans.__('Open an Executed Notebook'),
    icon: historyIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          run: text,
          stage: text,
          slug: text,
          attempt: number,
          cell: number
        }
      }
    },
    isEnabled: args => typeof args.run === 'string' && typeof args.stage === 'string',
    execute: async args => {
      const slug = slugOf(args, himalia);
      const { run, stage, attempt, cell } = args;
      if (slug && typeof run === 'string' && typeof stage === 'string') {
        const which = typeof attempt === 'number' ? { attempt } : {};
        const place = typeof cell === 'number' ? cell : null;
        const restoring = !restored;
        const { open } = await import('./executedOpen');
        await open({ ...parts, tracker }, { slug, run, stage, ...which }, restoring, place);
      }
    }
  });
  void restorer?.restore(tracker, {
    command: CommandIDs.openExecutedNotebook,
    args: widget => ({ ...readPath(contents.localPath(widget.context.path)) }),
    name: widget => widget.context.path
  });
  keepAddress(parts);
}

/**
 * JupyterLab puts the path of the current document into the page's address. At a reload the file browser would
 * look for it and fail, because it does not show this drive: the project's folder stands there instead.
 */
function keepAddress(parts: IExecutedParts): void {
  const { himalia, labShell, router } = parts;
  labShell?.currentPathChanged.connect((_, { newValue }) => {
    if (!router || !newValue.startsWith(`${DRIVE}:`)) {
      return;
    }
    const treePath = himalia.store?.contentsPath ?? '';
    void Promise.resolve().then(() => {
      const { pathname } = new URL(PageConfig.getUrl({ treePath }), window.location.href);
      router.navigate(pathname, { skipRouting: true });
      PageConfig.setOption('treePath', treePath);
    });
  });
}
