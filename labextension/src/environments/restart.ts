import { Dialog, showDialog } from '@jupyterlab/apputils';
import { KernelAPI } from '@jupyterlab/services';
import { PathExt } from '@jupyterlab/coreutils';

import { notifyProblem, tell } from '../components/notify';
import type { IEnvironmentParts } from './commands';

/** Ask, then restart these kernels, so that they find the packages that the project has now. */
export async function restartKernels(
  { app, himalia, trans }: IEnvironmentParts,
  kernels: readonly string[]
): Promise<void> {
  const { serverSettings, sessions } = app.serviceManager;
  await sessions.refreshRunning();
  const running = [...sessions.running()];
  const names = kernels.map(id => {
    const session = running.find(candidate => candidate.kernel?.id === id);
    return session ? PathExt.basename(session.path) || session.name : id.slice(0, 8);
  });
  if (kernels.length === 0) {
    tell('info', trans.__('All kernels run with the packages that the project has now.'));
    return;
  }
  const { button } = await showDialog({
    title: trans._n('Restart %1 kernel?', 'Restart %1 kernels?', kernels.length),
    body: trans.__(
      'They run with the packages that the project had before: %1. Restarted, they find those of now. Their variables are lost.',
      names.join(', ')
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Restart') })
    ]
  });
  if (!button.accept) {
    return;
  }
  try {
    await Promise.all(kernels.map(id => KernelAPI.restartKernel(id, serverSettings)));
  } catch (error) {
    notifyProblem(trans.__('Not all kernels were restarted.'), error, trans);
  }
  await himalia.store?.refresh();
}
