import { JupyterFrontEnd } from '@jupyterlab/application';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

/**
 * The notebook that a command is about, as the file browser names it: the named one, the one that was clicked in the
 * file browser, else the one that is shown. Null: none of the project's files.
 */
export function chosenNotebook(
  { shell }: Pick<JupyterFrontEnd, 'shell'>,
  browser: IFileBrowserFactory | null,
  args: ReadonlyPartialJSONObject
): string | null {
  if (typeof args.path === 'string') {
    return args.path;
  }
  if (args.browser === true) {
    const items = [...(browser?.tracker.currentWidget?.selectedItems() ?? [])];
    return items.find(({ type }) => type === 'notebook')?.path ?? null;
  }
  const widget = shell.currentWidget as { context?: { path?: unknown } } | null;
  const path = widget?.context?.path;
  // a drive's name begins the paths of what lies elsewhere, as executed notebooks do
  return typeof path === 'string' && path.endsWith('.ipynb') && !path.includes(':') ? path : null;
}

/** A file below the project's folder, as himalia.toml names it; null when it lies elsewhere. */
export function inProject(
  { contentsPath: folder }: { contentsPath: string | null },
  path: string
): string | null {
  if (folder === null) {
    return null;
  }
  if (folder === '') {
    return path;
  }
  return path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : null;
}
