import { IRunningSessionManagers } from '@jupyterlab/running';
import { TranslationBundle } from '@jupyterlab/translation';
import { runIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';

import { at } from '../api/request';
import { whyNot } from '../api/roles';
import type { Run } from '../api/types';
import { CommandIDs } from '../commands';
import { shortId } from '../components/format';
import { notifyProblem } from '../components/notify';
import { hasEnded, stateWord } from '../components/states';
import { addRunning } from '../frame/running';
import { runState } from '../service/reduce';
import type { IHimalia } from '../tokens';

/** Runs that go on, in JupyterLab's list of running things. */
export function addRunningRuns(
  managers: IRunningSessionManagers,
  commands: CommandRegistry,
  himalia: IHimalia,
  trans: TranslationBundle
): void {
  addRunning<Run>(managers, himalia, {
    name: trans.__('Himalia Runs'),
    items: store => (store.runs.items ?? []).filter(run => !hasEnded(run.status)),
    show: run => ({
      open: () => void commands.execute(CommandIDs.openRun, { run: run.id, slug: run.project }),
      icon: () => runIcon,
      label: () => trans.__('run %1', shortId(run.id)),
      labelTitle: () => trans.__('Run %1 of %2', run.id, run.project),
      detail: () => stateWord(runState(run), trans)
    }),
    end: run =>
      himalia
        .request('POST', at('projects', run.project, 'runs', run.id, 'cancel'))
        .then(undefined, (error: unknown) =>
          notifyProblem(
            trans.__('The run %1 could not be cancelled.', shortId(run.id)),
            error,
            trans
          )
        ),
    refusal: () => whyNot(himalia, 'run.cancel', trans),
    endLabel: trans.__('Cancel the Run'),
    endAllLabel: trans.__('Cancel All'),
    confirm: slug => trans.__('Cancel all runs of %1 that go on?', slug)
  });
}
