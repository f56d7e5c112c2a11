import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { InputDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { at } from '../api/request';
import { whyNot } from '../api/roles';
import { Cluster } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem, unless } from '../components/notify';
import { Documents } from '../frame/documents';
import { IHimalia, IProjectStore } from '../tokens';

/** What the room's commands stand on. */
export interface IClusterParts {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  trans: TranslationBundle;
  restorer: ILayoutRestorer | null;
  /** The page that a dashboard shows first. */
  firstPage: () => Promise<string>;
}

/** Register the room's commands; returns those for the palette. */
export function addClusterCommands(parts: IClusterParts): string[] {
  const { app, himalia, trans } = parts;
  const { commands } = app;
  const refusal = () => whyNot(himalia, 'cluster.write', trans);
  const isEnabled = () => refusal() === null;
  const hasCluster = () => Boolean(himalia.store?.clusters.items?.length);
  const text = { type: 'string' };

  commands.addCommand(CommandIDs.startCluster, {
    label: trans.__('Start a Cluster…'),
    caption: () => refusal() ?? trans.__('Start workers for this project'),
    describedBy: {
      args: { type: 'object', properties: { name: text, workers: { type: 'integer' } } }
    },
    isEnabled,
    execute: unless(refusal, args => startCluster(himalia, trans, args))
  });
  commands.addCommand(CommandIDs.scaleCluster, {
    label: trans.__('Scale a Cluster…'),
    caption: () => refusal() ?? trans.__('Change the number of workers'),
    describedBy: {
      args: { type: 'object', properties: { name: text, workers: { type: 'integer' } } }
    },
    isEnabled: () => isEnabled() && hasCluster(),
    execute: unless(refusal, args => withCluster(himalia, trans, args, scaleCluster))
  });
  commands.addCommand(CommandIDs.stopCluster, {
    label: trans.__('Stop a Cluster…'),
    caption: () => refusal() ?? trans.__('End the workers'),
    describedBy: { args: { type: 'object', properties: { name: text } } },
    isEnabled: () => isEnabled() && hasCluster(),
    execute: unless(refusal, args => withCluster(himalia, trans, args, stopCluster))
  });
  addDashboard(parts, hasCluster);

  const all = [
    CommandIDs.startCluster,
    CommandIDs.scaleCluster,
    CommandIDs.stopCluster,
    CommandIDs.openDashboard
  ];
  himalia.changed.connect(() => all.forEach(id => commands.notifyCommandChanged(id)));
  return all;
}

function addDashboard(parts: IClusterParts, hasCluster: () => boolean): void {
  const { app, himalia, trans, restorer, firstPage } = parts;
  const dashboards = new Documents(app, 'himalia-dashboard', CommandIDs.openDashboard, restorer);
  const text = { type: 'string' };
  app.commands.addCommand(CommandIDs.openDashboard, {
    label: trans.__('Open the Dask Dashboard'),
    caption: trans.__('See what the workers of a cluster do'),
    describedBy: {
      args: { type: 'object', properties: { name: text, slug: text, page: text } }
    },
    isEnabled: args => typeof args['name'] === 'string' || hasCluster(),
    execute: async args => {
      const slug = String(args['slug'] ?? himalia.store?.slug ?? '');
      const name =
        typeof args['name'] === 'string' ? args['name'] : await chooseName(himalia, trans);
      if (!slug || !name) {
        return;
      }
      const page = typeof args['page'] === 'string' ? args['page'] : await firstPage();
      const { makeDashboard } = await import('./dashboard');
      await dashboards.open(`${slug}-${name}`, { slug, name, page }, async () =>
        makeDashboard({ app, himalia, trans, dashboards, slug, name, page })
      );
    }
  });
}

async function startCluster(
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

async function scaleCluster(
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

async function stopCluster(
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
async function withCluster(
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

async function chooseName(himalia: IHimalia, trans: TranslationBundle): Promise<string | null> {
  const names = himalia.store?.clusters.items?.map(cluster => cluster.name) ?? [];
  if (names.length < 2) {
    return names[0] ?? null;
  }
  const chosen = await InputDialog.getItem({ title: trans.__('Which cluster?'), items: names });
  return chosen.button.accept ? chosen.value : null;
}
