import { JupyterFrontEnd } from '@jupyterlab/application';
import { PathExt } from '@jupyterlab/coreutils';
import { Widget } from '@lumino/widgets';

import { watchStore } from '../frame/watch';
import { below } from '../service/place';
import type { IHimalia } from '../tokens';

/**
 * Go with the file browser where the open project's folder goes: to its new place, or away from one that is gone.
 *
 * JupyterLab's own file browser would stay, and tell in a dialog that the folder does not exist.
 */
export function followFolder(app: JupyterFrontEnd, himalia: IHimalia): void {
  let before: { slug: string; path: string | null } | null = null;
  watchStore(himalia, () => {
    const { store } = himalia;
    const now = store && {
      slug: store.slug,
      path: store.project.missing ? '' : store.contentsPath
    };
    const moved = now?.slug === before?.slug && now?.path !== before?.path;
    before = now;
    if (moved && now && now.path !== null) {
      void goTo(app, now.path);
    }
  });
  himalia.ended.connect((_, { project, deleted }) => {
    if (deleted) {
      void leaveFolder(app, himalia, project.path);
    }
  });
}

/**
 * Bring the file browser out of a folder that goes away, to the one above it.
 *
 * @param folder - its absolute path
 */
export async function leaveFolder(
  app: JupyterFrontEnd,
  { root }: Pick<IHimalia, 'root'>,
  folder: string
): Promise<void> {
  const path = root === null ? null : below(root, folder);
  const shown = shownFolder(app);
  if (path && shown !== null && (shown === path || shown.startsWith(`${path}/`))) {
    await goTo(app, PathExt.dirname(path));
  }
}

async function goTo(app: JupyterFrontEnd, path: string): Promise<void> {
  await app.commands
    .execute('filebrowser:go-to-path', { path: `/${path}`, dontShowBrowser: true })
    .catch(() => undefined); // there may be no file browser
}

/** The folder that JupyterLab's file browser shows; null when there is none. */
function shownFolder({ shell, serviceManager }: JupyterFrontEnd): string | null {
  for (const area of ['left', 'right']) {
    for (const widget of shell.widgets(area)) {
      const { model } = widget as Widget & { model?: { path?: unknown } };
      if (widget.id === 'filebrowser' && typeof model?.path === 'string') {
        return serviceManager.contents.localPath(model.path);
      }
    }
  }
  return null;
}
