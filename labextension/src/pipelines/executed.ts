import { DocumentRegistry, IDocumentWidget } from '@jupyterlab/docregistry';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { NotebookPanel, NotebookWidgetFactory } from '@jupyterlab/notebook';
import { TranslationBundle } from '@jupyterlab/translation';
import { notebookIcon } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';

import { shortId } from '../components/format';
import { executedPath, IExecuted } from './drive';

/** The name of the widget factory. */
const FACTORY = 'Himalia Executed Notebook';

/** Show an executed notebook: read-only, without a kernel. Null when this application has no notebooks. */
export function openExecuted(
  executed: IExecuted,
  manager: IDocumentManager,
  registry: DocumentRegistry,
  trans: TranslationBundle
): IDocumentWidget | null {
  if (!registerFactory(registry, trans)) {
    return null;
  }
  const widget = manager.openOrReveal(executedPath(executed), FACTORY);
  if (widget) {
    const { stage, run } = executed;
    // a document takes a new title for the wish to rename its file
    Signal.disconnectBetween(widget.title, widget);
    widget.title.icon = notebookIcon.bindprops({ stylesheet: 'mainAreaTab' });
    widget.title.label = trans.__('%1 · run %2 (executed)', stage, shortId(run));
    widget.title.caption = trans.__(
      'The notebook of the stage %1 as the run %2 executed it. Read-only.',
      stage,
      run
    );
    widget.addClass('jp-Himalia-executed');
  }
  return widget ?? null;
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
