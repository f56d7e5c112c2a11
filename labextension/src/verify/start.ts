import { JupyterFrontEnd } from '@jupyterlab/application';
import { DocumentWidget } from '@jupyterlab/docregistry';
import { TranslationBundle } from '@jupyterlab/translation';

import { at } from '../api/request';
import type { Verification } from '../api/types';
import { notifyProblem, tell } from '../components/notify';
import { inProject } from '../frame/chosenNotebook';
import type { IHimalia, IProjectStore } from '../tokens';

/** Have the service verify a notebook, as it is shown: what is typed is saved first. */
export async function startVerification(
  app: Pick<JupyterFrontEnd, 'shell'>,
  himalia: IHimalia,
  store: IProjectStore,
  path: string,
  trans: TranslationBundle
): Promise<void> {
  const notebook = inProject(store, path);
  if (notebook === null) {
    tell(
      'warning',
      trans.__(
        '%1 lies outside of the project %2: only its notebooks can be verified.',
        path,
        store.slug
      )
    );
    return;
  }
  try {
    const open = [...app.shell.widgets('main')].find(
      (widget): widget is DocumentWidget =>
        widget instanceof DocumentWidget && widget.context.path === path
    );
    if (open?.context.model.dirty) {
      await open.context.save();
    }
    await himalia.request<Verification>('POST', at('projects', store.slug, 'verifications'), {
      notebook
    });
  } catch (error) {
    notifyProblem(trans.__('%1 was not verified.', notebook), error, trans);
  }
}
