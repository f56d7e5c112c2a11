import { IRunningSessionManagers, IRunningSessions } from '@jupyterlab/running';
import { TranslationBundle } from '@jupyterlab/translation';
import { runIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';

import { at } from '../api/request';
import type { Run } from '../api/types';
import { CommandIDs } from '../commands';
import { shortId } from '../components/format';
import { hasEnded, stateWord } from '../components/states';
import { notifyProblem } from '../components/notify';
import { runState } from '../service/reduce';
import type { IHimalia, IProjectStore } from '../tokens';

/** Runs that go on, in JupyterLab's list of running things. */
export function addRunningRuns(
  managers: IRunningSessionManagers,
  commands: CommandRegistry,
  himalia: IHimalia,
  trans: TranslationBundle
): void {
  const changed = new Signal<object, void>(himalia);
  let store: IProjectStore | null = null;
  const tell = () => changed.emit();
  himalia.changed.connect(() => {
    if (store !== himalia.store) {
      store?.changed.disconnect(tell);
      store = himalia.store;
      store?.changed.connect(tell);
      tell();
    }
  });
  const runs = () => (himalia.store?.runs.items ?? []).filter(run => !hasEnded(run.status));
  const shutdown = (run: Run) =>
    himalia
      .request('POST', at('projects', run.project, 'runs', run.id, 'cancel'))
      .then(undefined, (error: unknown) =>
        notifyProblem(trans.__('The run %1 could not be cancelled.', shortId(run.id)), error, trans)
      );
  const item = (run: Run): IRunningSessions.IRunningItem => ({
    open: () => void commands.execute(CommandIDs.openRun, { run: run.id, slug: run.project }),
    shutdown: () => void shutdown(run),
    icon: () => runIcon,
    label: () => trans.__('run %1', shortId(run.id)),
    labelTitle: () => trans.__('Run %1 of %2', run.id, run.project),
    detail: () => stateWord(runState(run), trans)
  });
  managers.add({
    name: trans.__('Himalia Runs'),
    running: () => runs().map(item),
    shutdownAll: () => void Promise.all(runs().map(shutdown)),
    refreshRunning: () => undefined, // events tell
    runningChanged: changed,
    shutdownLabel: trans.__('Cancel the Run'),
    shutdownAllLabel: trans.__('Cancel All'),
    shutdownAllConfirmationText: () =>
      trans.__('Cancel all runs of %1 that go on?', himalia.store?.slug ?? '')
  });
}
