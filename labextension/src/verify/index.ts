import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { lazySection } from '../components/lazySection';
import { IHimalia } from '../tokens';
import type { IBadgeProps } from './badge';
import { addVerify, addVerifyDocument } from './commands';

const Badge = React.lazy(() => import('./badge'));

/** Verify: a notebook runs in a clean kernel, and each cell is compared with what it shows. */
export const verifyPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:verify',
  description: 'Verifies notebooks of the open project, and shows what differs.',
  autoStart: true,
  requires: [IHimalia],
  optional: [
    ITranslator,
    ICommandPalette,
    ILayoutRestorer,
    IToolbarWidgetRegistry,
    IFileBrowserFactory,
    IRenderMimeRegistry
  ],
  activate
};

function activate(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  translator: ITranslator | null,
  palette: ICommandPalette | null,
  restorer: ILayoutRestorer | null,
  toolbars: IToolbarWidgetRegistry | null,
  browser: IFileBrowserFactory | null,
  rendermime: IRenderMimeRegistry | null
): void {
  const trans = (translator ?? nullTranslator).load('himalia');
  addVerify(app, himalia, browser, trans);
  if (rendermime) {
    addVerifyDocument(app, himalia, rendermime, restorer, trans);
  }
  palette?.addItem({ command: CommandIDs.verify, category: trans.__('Himalia') });
  toolbars?.addFactory('Notebook', 'himalia-verify', (panel: Widget) =>
    panel instanceof NotebookPanel
      ? badge({ context: panel.context, himalia, commands: app.commands, trans })
      : new Widget()
  );
}

function badge(props: IBadgeProps): Widget {
  const widget = ReactWidget.create(lazySection(Badge, props));
  widget.addClass('jp-Himalia-verify');
  return widget;
}
