import { IRunningSessionManagers } from '@jupyterlab/running';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { at } from '../api/request';
import { whyNot } from '../api/roles';
import type { Deployment } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem } from '../components/notify';
import { stateWord } from '../components/states';
import { endpointIcon } from '../frame/icons';
import { addRunning } from '../frame/running';
import type { IHimalia } from '../tokens';

/** The open project's endpoints, in JupyterLab's list of running things. */
export function addRunningEndpoints(
  managers: IRunningSessionManagers,
  commands: CommandRegistry,
  himalia: IHimalia,
  trans: TranslationBundle
): void {
  addRunning<Deployment>(managers, himalia, {
    name: trans.__('Himalia Endpoints'),
    items: store => store.deployments.items ?? [],
    show: ({ name, state, model_name: model, model_version: version }) => ({
      open: () => void commands.execute(CommandIDs.openDeployment, { name }),
      icon: () => endpointIcon,
      label: () => name,
      labelTitle: () => trans.__('The endpoint %1 with version %2 of %3', name, version, model),
      detail: () => stateWord(state, trans)
    }),
    end: ({ name }) =>
      himalia
        .request('DELETE', at('projects', himalia.store?.slug ?? '', 'deployments', name))
        .then(undefined, (error: unknown) =>
          notifyProblem(trans.__('The endpoint %1 could not be deleted.', name), error, trans)
        ),
    refusal: () => whyNot(himalia, 'deployment.write', trans),
    endLabel: trans.__('Delete the Endpoint'),
    endAllLabel: trans.__('Delete All'),
    confirm: slug => trans.__('Delete all endpoints of %1? They stop answering.', slug)
  });
}
