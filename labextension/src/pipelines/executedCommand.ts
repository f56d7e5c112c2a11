import { ILabShell, ILayoutRestorer, IRouter, JupyterFrontEnd } from '@jupyterlab/application';
import { Notification, WidgetTracker } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import type { IDocumentWidget } from '@jupyterlab/docregistry';
import { TranslationBundle } from '@jupyterlab/translation';
import { historyIcon } from '@jupyterlab/ui-components';

import { toProblem } from '../api/problem';
import { CommandIDs } from '../commands';
import { notifyProblem } from '../components/notify';
import type { IHimalia } from '../tokens';
import { slugOf } from './commands';
import { DRIVE, IExecuted, notebookPath, readPath, RunsDrive } from './drive';
import { mayPass, untilLive } from './later';

interface IExecutedParts {
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
        await open(parts, tracker, { slug, run, stage, ...which }, !restored, place);
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

/**
 * Open an executed notebook.
 *
 * While JupyterLab restores its tabs the service may not run yet: what was open then comes when it answers.
 *
 * @throws when a tab cannot be restored, so that it is not tried at every reload
 */
async function open(
  parts: IExecutedParts,
  tracker: WidgetTracker<IDocumentWidget>,
  executed: IExecuted,
  restoring: boolean,
  cell: number | null
): Promise<void> {
  const { himalia, trans } = parts;
  const { stage } = executed;
  try {
    // a document that cannot be read would close itself without a word that helps
    await himalia.request('GET', notebookPath(executed));
  } catch (error) {
    if (restoring && mayPass(toProblem(error, trans).status)) {
      void untilLive(himalia).then(() => show(parts, tracker, executed, false, cell));
      return;
    }
    notifyProblem(trans.__('The executed notebook of %1 cannot be shown.', stage), error, trans);
    if (restoring) {
      throw error;
    }
    return;
  }
  await show(parts, tracker, executed, true, cell);
}

async function show(
  parts: IExecutedParts,
  tracker: WidgetTracker<IDocumentWidget>,
  executed: IExecuted,
  activate: boolean,
  cell: number | null
): Promise<void> {
  const { app, manager, trans } = parts;
  const { openExecuted, revealCell } = await import('./executed');
  const widget = openExecuted(executed, manager, app.docRegistry, trans, activate);
  if (!widget) {
    Notification.warning(trans.__('This application shows no notebooks.'));
    return;
  }
  if (!tracker.has(widget)) {
    await tracker.add(widget);
  }
  if (cell !== null) {
    void revealCell(widget, cell);
  }
  void app.restored.then(() => {
    // one that the saved layout does not know, because it came late the last time, was put away with it
    if (!widget.isDisposed && !widget.isAttached) {
      app.shell.add(widget, 'main', { activate: false });
    }
  });
}
