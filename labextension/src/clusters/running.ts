import { IRunningSessionManagers } from '@jupyterlab/running';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { at } from '../api/request';
import { whyNot } from '../api/roles';
import type { Cluster } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem } from '../components/notify';
import { dashboardIcon } from '../frame/icons';
import { addRunning } from '../frame/running';
import type { IHimalia } from '../tokens';
import { clusterFacts } from './facts';

/** The open project's clusters, in JupyterLab's list of running things. */
export function addRunningClusters(
  managers: IRunningSessionManagers,
  commands: CommandRegistry,
  himalia: IHimalia,
  trans: TranslationBundle
): void {
  addRunning<Cluster>(managers, himalia, {
    name: trans.__('Himalia Clusters'),
    items: store => (store.clusters.items ?? []).filter(({ state }) => state !== 'stopped'),
    show: cluster => ({
      open: () => void commands.execute(CommandIDs.openDashboard, { name: cluster.name }),
      icon: () => dashboardIcon,
      label: () => cluster.name,
      labelTitle: () => trans.__('The Dask cluster %1: open its dashboard', cluster.name),
      detail: () => clusterFacts(cluster, trans)
    }),
    end: ({ name }) =>
      himalia
        .request('DELETE', at('projects', himalia.store?.slug ?? '', 'clusters', name))
        .then(undefined, (error: unknown) =>
          notifyProblem(trans.__('The cluster %1 could not be stopped.', name), error, trans)
        ),
    refusal: () => whyNot(himalia, 'cluster.write', trans),
    endLabel: trans.__('Stop the Cluster'),
    endAllLabel: trans.__('Stop All'),
    confirm: slug =>
      trans.__('Stop all clusters of %1? What is computed on them and not fetched is lost.', slug)
  });
}
