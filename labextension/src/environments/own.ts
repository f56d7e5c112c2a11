import { Notification } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';

import { at } from '../api/request';
import type { ManifestText } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem } from '../components/notify';
import type { IEnvironmentParts } from './commands';
import { REQUIREMENTS } from './save';

/** Name a requirements file in himalia.toml; make it when it is not there; open it. */
export async function ownEnvironment(parts: IEnvironmentParts): Promise<void> {
  const { app, himalia, trans } = parts;
  const { store } = himalia;
  if (!store) {
    return;
  }
  const folder = store.contentsPath;
  if (folder === null) {
    Notification.warning(
      trans.__(
        'The folder of this project lies outside of what this JupyterLab shows. Write a requirements.txt in %1, and name it in himalia.toml under [environment].',
        store.project.path
      ),
      { autoClose: false }
    );
    return;
  }
  const path = PathExt.join(folder, REQUIREMENTS);
  const { contents } = app.serviceManager;
  try {
    const there = await contents.get(path, { content: false }).then(
      () => true,
      () => false
    );
    if (!there) {
      const content = `# ${trans.__('One package a line; what is not named comes from the site.')}\n`;
      await contents.save(path, { type: 'file', format: 'text', content });
    }
    const manifest = at('projects', store.slug, 'manifest');
    const { digest } = await himalia.request<ManifestText>('GET', manifest);
    await himalia.request('PATCH', manifest, {
      base_digest: digest,
      edits: [{ op: 'set', path: ['environment', 'requirements'], value: REQUIREMENTS }]
    });
    await app.commands.execute('docmanager:open', { path, factory: 'Editor' });
  } catch (error) {
    notifyProblem(trans.__('The project could not be given packages of its own.'), error, trans);
    return;
  }
  Notification.info(
    trans.__('Name the packages in the file, then build the environment: that saves it.'),
    {
      autoClose: false,
      actions: [
        {
          label: trans.__('Build the environment'),
          callback: () => void app.commands.execute(CommandIDs.buildEnvironment)
        }
      ]
    }
  );
}
