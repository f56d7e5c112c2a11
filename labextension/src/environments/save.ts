import { JupyterFrontEnd } from '@jupyterlab/application';
import { PathExt } from '@jupyterlab/coreutils';
import { DocumentWidget } from '@jupyterlab/docregistry';

import { MANIFEST } from '../manifest/question';
import type { IProjectStore } from '../tokens';
import { environmentOf } from './question';

/** The requirements file that Himalia makes. */
export const REQUIREMENTS = 'requirements.txt';

/**
 * Save what is typed in open documents about the packages of the project: a build reads the files.
 *
 * @throws what Jupyter says when a file cannot be saved
 */
export async function saveAsked(
  { shell }: Pick<JupyterFrontEnd, 'shell'>,
  store: IProjectStore
): Promise<void> {
  const folder = store.contentsPath;
  if (folder === null) {
    return; // its files cannot be open here
  }
  const source = environmentOf(store)?.source ?? REQUIREMENTS;
  const paths = [MANIFEST, REQUIREMENTS, source].map(file => PathExt.join(folder, file));
  const contexts = new Set(
    [...shell.widgets('main')]
      .filter((widget): widget is DocumentWidget => widget instanceof DocumentWidget)
      .map(({ context }) => context)
      .filter(({ path, model }) => model.dirty && paths.includes(path))
  );
  await Promise.all([...contexts].map(context => context.save()));
}
