import { InputDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { at } from '../api/request';
import type { Cluster } from '../api/types';
import { notifyProblem } from '../components/notify';
import type { IHimalia, IProjectStore } from '../tokens';

/** Start a cluster; asks for what the arguments leave open. */
export async function startCluster(
  himalia: IHimalia,
  trans: TranslationBundle,
  args: ReadonlyPartialJSONObject
): Promise<void> {
  const { store } = himalia;
  if (!store) {
    return;
  }
  const start = (body: { name: string; workers?: number }) =>
    himalia.request<Cluster>('POST', at('projects', store.slug, 'clusters'), body);
  const name = args['name'];
  const workers = typeof args['workers'] === 'number' ? args['workers'] : undefined;
  if (typeof name === 'string' && name) {
    try {
      await start({ name, workers });
    } catch (error) {
      notifyProblem(trans.__('The cluster %1 could not be started.', name), error, trans);
    }
    return;
  }
  const { askForCluster } = await import('./dialogs');
  await askForCluster(store, start, trans);
}

/** Change the number of workers. */
export async function scaleCluster(
  himalia: IHimalia,
  store: IProjectStore,
  cluster: Cluster,
  trans: TranslationBundle,
  args: ReadonlyPartialJSONObject
): Promise<void> {
  const path = at('projects', store.slug, 'clusters', cluster.name);
  const scale = (workers: number) => himalia.request('PATCH', path, { workers });
  if (typeof args['workers'] === 'number') {
    try {
      await scale(args['workers']);
    } catch (error) {
      notifyProblem(trans.__('The cluster %1 could not be scaled.', cluster.name), error, trans);
    }
    return;
  }
  const { askForWorkers } = await import('./dialogs');
  await askForWorkers(cluster, scale, trans);
}

/** Stop a cluster, once it was asked for. */
export async function stopCluster(
  himalia: IHimalia,
  store: IProjectStore,
  cluster: Cluster,
  trans: TranslationBundle
): Promise<void> {
  const { confirmStop } = await import('./dialogs');
  if (!(await confirmStop(store, cluster, trans))) {
    return;
  }
  try {
    await himalia.request('DELETE', at('projects', store.slug, 'clusters', cluster.name));
  } catch (error) {
    notifyProblem(trans.__('The cluster %1 could not be stopped.', cluster.name), error, trans);
  }
}

type ClusterAct = (
  himalia: IHimalia,
  store: IProjectStore,
  cluster: Cluster,
  trans: TranslationBundle,
  args: ReadonlyPartialJSONObject
) => Promise<void>;

/** Do something with the named cluster, or with one that the user chooses. */
export async function withCluster(
  himalia: IHimalia,
  trans: TranslationBundle,
  args: ReadonlyPartialJSONObject,
  act: ClusterAct
): Promise<void> {
  const { store } = himalia;
  const name = typeof args['name'] === 'string' ? args['name'] : await chooseName(himalia, trans);
  const cluster = store?.clusters.items?.find(item => item.name === name);
  if (store && cluster) {
    await act(himalia, store, cluster, trans, args);
  }
}

/** The only cluster, or the one that the user chooses. */
export async function chooseName(
  himalia: IHimalia,
  trans: TranslationBundle
): Promise<string | null> {
  const names = himalia.store?.clusters.items?.map(cluster => cluster.name) ?? [];
  if (names.length < 2) {
    return names[0] ?? null;
  }
  const chosen = await InputDialog.getItem({ title: trans.__('Which cluster?'), items: names });
  return chosen.button.accept ? chosen.value : null;
}
