import type * as nbformat from '@jupyterlab/nbformat';
import { DocumentRegistry, IDocumentWidget } from '@jupyterlab/docregistry';
import { IDocumentManager } from '@jupyterlab/docmanager';
import {
  NotebookActions,
  NotebookPanel,
  NotebookWidgetFactory,
  NotebookWindowedLayout
} from '@jupyterlab/notebook';
import { TranslationBundle } from '@jupyterlab/translation';
import { notebookIcon } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';

import { shortId } from '../components/format';
import { executedPath, IExecuted } from './drive';

/** The class of the cell that was asked for. */
const MARKED = 'jp-Himalia-marked';

/** The name of the widget factory. */
const FACTORY = 'Himalia Executed Notebook';

/** Show an executed notebook: read-only, without a kernel. Null when this application has no notebooks. */
export function openExecuted(
  executed: IExecuted,
  manager: IDocumentManager,
  registry: DocumentRegistry,
  trans: TranslationBundle,
  activate = true
): IDocumentWidget | null {
  if (!registerFactory(registry, trans)) {
    return null;
  }
  const path = executedPath(executed);
  const widget = manager.openOrReveal(path, FACTORY, undefined, { activate });
  if (widget instanceof NotebookPanel && !widget.hasClass('jp-Himalia-executed')) {
    keepAsItIs(widget);
  }
  if (widget) {
    const { stage, run, attempt } = executed;
    const which = attempt === undefined ? stage : trans.__('%1, attempt %2', stage, attempt);
    // a document takes a new title for the wish to rename its file
    Signal.disconnectBetween(widget.title, widget);
    widget.title.icon = notebookIcon.bindprops({ stylesheet: 'mainAreaTab' });
    widget.title.label = trans.__('%1 · run %2 (executed)', which, shortId(run));
    widget.title.caption = trans.__(
      'The notebook of the stage %1 as the run %2 executed it. Read-only.',
      stage,
      run
    );
    widget.addClass('jp-Himalia-executed');
  }
  return widget ?? null;
}

/** Bring a cell into view, once the notebook is read. *cell*: its place, from 0. */
export async function revealCell(widget: IDocumentWidget, cell: number): Promise<void> {
  if (!(widget instanceof NotebookPanel)) {
    return;
  }
  await Promise.all([widget.context.ready, widget.revealed]);
  const notebook = widget.content;
  if (!widget.isDisposed && cell >= 0 && cell < notebook.widgets.length) {
    notebook.activeCellIndex = cell;
    notebook.widgets.forEach((other, index) => other.toggleClass(MARKED, index === cell));
    // a cell that is away when it is asked for is no fault
    await notebook.scrollToItem(cell, 'center').then(undefined, () => undefined);
  }
}

/** Put what a stage has come to meanwhile into the shown notebook; what is the same stays as it is, and in view. */
export function refill(widget: IDocumentWidget, content: nbformat.INotebookContent): void {
  const model = widget instanceof NotebookPanel ? widget.content.model : null;
  if (!model) {
    return;
  }
  if (content.cells.length !== model.cells.length) {
    model.fromJSON(content);
  }
  content.cells.forEach((cell, index) => {
    const shown = model.cells.get(index) as { outputs?: IOutputs; executionCount?: unknown };
    if (!isCode(cell) || !shown.outputs) {
      return;
    }
    if (JSON.stringify(shown.outputs.toJSON()) !== JSON.stringify(cell.outputs)) {
      shown.outputs.fromJSON(cell.outputs);
    }
    shown.executionCount = cell.execution_count;
  });
  model.dirty = false;
}

/** The part of a code cell's outputs that is used. */
interface IOutputs {
  toJSON(): nbformat.IOutput[];
  fromJSON(outputs: nbformat.IOutput[]): void;
}

function isCode(cell: nbformat.ICell): cell is nbformat.ICodeCell {
  return cell.cell_type === 'code';
}

/**
 * A document that is read-only refuses to be saved, but JupyterLab's notebook can be changed all the same: by the
 * button below it, and by dragging cells. Its keys are commands for JupyterLab's own notebooks, so the way through the
 * cells is opened here.
 */
function keepAsItIs(panel: NotebookPanel): void {
  const notebook = panel.content;
  if (notebook.layout instanceof NotebookWindowedLayout) {
    notebook.layout.footer = null;
  }
  for (const type of ['lm-dragenter', 'lm-dragover', 'lm-drop']) {
    // above the notebook, which listens before whoever comes later; tabs may still be dragged here
    panel.node.addEventListener(type, event => dragsCells(event) && event.stopPropagation(), true);
  }
  notebook.node.addEventListener('keydown', event => {
    const inText = (event.target as HTMLElement).closest('.cm-content, input, textarea');
    if (inText || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      return;
    }
    if (event.key === 'ArrowDown' || event.key === 'j') {
      NotebookActions.selectBelow(notebook);
    } else if (event.key === 'ArrowUp' || event.key === 'k') {
      NotebookActions.selectAbove(notebook);
    } else if (event.key === 'Tab' || event.key.startsWith('F')) {
      return;
    } else {
      event.stopPropagation(); // the browser's own: Space and Page Down scroll
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    void notebook.scrollToItem(notebook.activeCellIndex).then(undefined, () => undefined);
  });
}

function dragsCells(event: Event): boolean {
  const { mimeData } = event as Event & { mimeData?: { hasData(type: string): boolean } };
  return mimeData?.hasData('application/vnd.jupyter.cells') ?? false;
}

/** Notebooks look and render here as everywhere: the parts are those of JupyterLab's own factory. */
function registerFactory(registry: DocumentRegistry, trans: TranslationBundle): boolean {
  if (registry.getWidgetFactory(FACTORY)) {
    return true;
  }
  const own = registry.getWidgetFactory('Notebook');
  if (!(own instanceof NotebookWidgetFactory)) {
    return false;
  }
  const factory = new NotebookWidgetFactory({
    name: FACTORY,
    label: trans.__('Executed notebook'),
    // for no file by itself: it is not offered for the project's own notebooks
    fileTypes: [],
    modelName: 'notebook',
    readOnly: true,
    preferKernel: false,
    canStartKernel: false,
    rendermime: own.rendermime,
    contentFactory: own.contentFactory,
    mimeTypeService: own.mimeTypeService,
    editorConfig: own.editorConfig,
    notebookConfig: own.notebookConfig,
    toolbarFactory: () => [],
    translator: undefined
  }) as DocumentRegistry.IWidgetFactory<NotebookPanel, DocumentRegistry.IModel>;
  registry.addWidgetFactory(factory);
  return true;
}
