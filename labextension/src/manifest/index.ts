import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICompletionProviderManager } from '@jupyterlab/completer';
import { IDocumentWidget } from '@jupyterlab/docregistry';
import { FileEditor, IEditorTracker } from '@jupyterlab/fileeditor';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { IHimalia } from '../tokens';

import { ManifestCompletion } from './completion';

import { isManifest } from './question';

/** himalia.toml in JupyterLab's own editor: completion, and problems while it is written. */
export const manifestPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:manifest',
  description: 'Completes and checks himalia.toml in the text editor.',
  autoStart: true,
  requires: [IHimalia],
  optional: [ICompletionProviderManager, IEditorTracker, ISettingRegistry],
  activate
};

function activate(
  _: JupyterFrontEnd,
  himalia: IHimalia,
  completion: ICompletionProviderManager | null,
  editors: IEditorTracker | null,
  settings: ISettingRegistry | null
): void {
  completion?.registerProvider(new ManifestCompletion(himalia));
  editors?.widgetAdded.connect((_tracker, widget) => {
    if (isManifest(widget.context.path)) {
      void underline(widget, himalia, settings);
    }
  });
}

async function underline(
  widget: IDocumentWidget<FileEditor>,
  himalia: IHimalia,
  settings: ISettingRegistry | null
): Promise<void> {
  const own = await settings?.load(manifestPlugin.id).catch(() => null);
  if (own?.get('check').composite === false) {
    return;
  }
  const { underlineProblems } = await import('./diagnostics');
  await widget.context.ready;
  if (!widget.isDisposed) {
    underlineProblems(widget, himalia);
  }
}
