import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { at, RequestError } from '../../api/request';
import type { Run } from '../../api/types';
import { shortId } from '../../components/format';
import { notifyProblem } from '../../components/notify';
import type { IHimalia } from '../../tokens';

/** The answer when a run has ended already. */
const CONFLICT = 409;

/** Cancel the runs of a sweep that have not ended, once it was asked for. */
export async function cancelSweep(
  { himalia, trans }: { himalia: IHimalia; trans: TranslationBundle },
  slug: string,
  sweep: string,
  runs: readonly Run[]
): Promise<void> {
  const { button } = await showDialog({
    title: trans.__('Cancel the sweep %1 of %2?', shortId(sweep), slug),
    body: trans._n(
      '%1 run that has not ended is cancelled. The results of those that have ended stay.',
      '%1 runs that have not ended are cancelled. The results of those that have ended stay.',
      runs.length
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Let it run') }),
      Dialog.warnButton({ label: trans.__('Cancel all') })
    ]
  });
  if (!button.accept) {
    return;
  }
  let cancelled = 0;
  try {
    // the last ones first: those wait, and would begin in the place of each that is stopped
    for (const { id } of [...runs].reverse()) {
      cancelled += Number(await stop(himalia, slug, id));
    }
    Notification.info(
      trans._n('%1 run is being cancelled.', '%1 runs are being cancelled.', cancelled),
      { autoClose: 4000 }
    );
  } catch (error) {
    const what = trans.__(
      '%1 of %2 runs are being cancelled, not the others.',
      cancelled,
      runs.length
    );
    notifyProblem(what, error, trans);
  }
}

/** Cancel a run; false when it has ended meanwhile. */
async function stop(himalia: IHimalia, slug: string, id: string): Promise<boolean> {
  try {
    await himalia.request<Run>('POST', at('projects', slug, 'runs', id, 'cancel'));
    return true;
  } catch (error) {
    if (error instanceof RequestError && error.status === CONFLICT) {
      return false;
    }
    throw error;
  }
}
