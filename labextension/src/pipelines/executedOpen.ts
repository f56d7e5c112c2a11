import { WidgetTracker } from '@jupyterlab/apputils';
import type { IDocumentWidget } from '@jupyterlab/docregistry';
import type * as nbformat from '@jupyterlab/nbformat';

import { toProblem } from '../api/problem';
import { notifyProblem, tell } from '../components/notify';
import { hasEnded } from '../components/states';
import { watchStore } from '../frame/watch';
import { IExecuted, locked, notebookPath } from './drive';
import { openExecuted, refill, revealCell } from './executed';
import type { IExecutedParts } from './executedCommand';
import { mayPass, untilLive } from './later';

/** What opening stands on. */
export type IOpenParts = IExecutedParts & { tracker: WidgetTracker<IDocumentWidget> };

/** Milliseconds after which a running stage has saved its notebook. */
const SAVED_WITHIN = 3000;

/**
 * Open an executed notebook.
 *
 * While JupyterLab restores its tabs the service may not run yet: what was open then comes when it answers.
 *
 * @throws when a tab cannot be restored, so that it is not tried at every reload
 */
export async function open(
  parts: IOpenParts,
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
      void untilLive(himalia).then(() => show(parts, executed, false, cell));
      return;
    }
    notifyProblem(trans.__('The executed notebook of %1 cannot be shown.', stage), error, trans);
    if (restoring) {
      throw error;
    }
    return;
  }
  await show(parts, executed, true, cell);
}

async function show(
  parts: IOpenParts,
  executed: IExecuted,
  activate: boolean,
  cell: number | null
): Promise<void> {
  const { app, manager, tracker, trans } = parts;
  const widget = openExecuted(executed, manager, app.docRegistry, trans, activate);
  if (!widget) {
    tell('warning', trans.__('This application shows no notebooks.'));
    return;
  }
  if (!tracker.has(widget)) {
    await tracker.add(widget);
    followStage(parts, executed, widget);
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

/** The notebook of a stage that runs fills as the stage goes on, until what is kept is there. */
function followStage(parts: IOpenParts, executed: IExecuted, widget: IDocumentWidget): void {
  const { himalia, trans } = parts;
  const { slug, run, stage, attempt } = executed;
  const record = () =>
    (himalia.store?.slug === slug ? himalia.store.runs.items : null)
      ?.find(({ id }) => id === run)
      ?.stages.find(({ name }) => name === stage);
  if (attempt !== undefined || record()?.notebook) {
    return; // a kept one never changes
  }
  let last = '';
  const read = () => {
    himalia.request<nbformat.INotebookContent>('GET', notebookPath(executed)).then(
      content => !widget.isDisposed && refill(widget, locked(content)),
      (error: unknown) => {
        // between two attempts there is none; the next cell is told again
        if (!mayPass(toProblem(error, trans).status) && record()?.notebook) {
          notifyProblem(trans.__('The notebook of %1 cannot be read again.', stage), error, trans);
        }
      }
    );
  };
  const watch = watchStore(himalia, () => {
    const now = record();
    const state = now && [now.status, now.cell, now.attempts, now.notebook].join();
    if (!now || !state || state === last) {
      return;
    }
    last = state;
    read();
    if (now.notebook) {
      end();
    }
  });
  // a stage saves some time after it has told of a cell, and what a long cell prints is told by no event
  const timer = window.setInterval(() => {
    const now = record();
    if (now && !hasEnded(now.status) && widget.isVisible && !document.hidden) {
      read();
    }
  }, SAVED_WITHIN);
  const end = () => {
    window.clearInterval(timer);
    watch.dispose();
  };
  widget.disposed.connect(end);
}
