import { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { toProblem } from '../api/problem';
import { at } from '../api/request';
import type { GuideCopy } from '../api/types';
import { notifyProblem } from '../components/notify';
import { below } from '../service/place';
import type { IHimalia } from '../tokens';

/** What opening a guide stands on. */
export interface IGuideParts {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  trans: TranslationBundle;
}

/** Open the user's own copy of a guide in the project of the guides; the first time, both are made. */
export async function openGuide(parts: IGuideParts, name: string): Promise<void> {
  const { app, himalia, trans } = parts;
  try {
    if (himalia.root === null || himalia.connection === 'stopped') {
      await himalia.start();
    }
    const { root } = himalia;
    const copy = await himalia.request<GuideCopy>('PUT', at('guides', name), { below: root });
    const path = root === null ? null : below(root, copy.notebook);
    const { slug } = copy.project;
    if (path === null) {
      tellWhere(copy, trans);
      return;
    }
    await himalia.open(slug, path);
    if (himalia.store?.slug === slug) {
      await app.commands.execute('docmanager:open', { path });
    } // else the page goes to the project's workspace, and finds the path in its address
  } catch (error) {
    const refused = toProblem(error, trans).status === 403;
    const what = refused
      ? trans.__(
          'The guide was not opened: it is a notebook to run in a project of your own, and on this Jupyter server you may only look.'
        )
      : trans.__('The guide could not be opened.');
    notifyProblem(what, error, trans);
  }
}

function tellWhere({ notebook, project }: GuideCopy, trans: TranslationBundle): void {
  Notification.warning(
    trans.__(
      'The guide is in %1, outside of what this JupyterLab shows. Open it in a terminal: himalia project open %2',
      notebook,
      project.slug
    ),
    { autoClose: false }
  );
}
