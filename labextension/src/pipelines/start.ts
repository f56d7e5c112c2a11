import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';

import { allItems } from '../api/pages';
import { at } from '../api/request';
import type { Cluster, Run, RunOptions } from '../api/types';
import { CommandIDs } from '../commands';
import { shortId } from '../components/format';
import { notifyProblem } from '../components/notify';
import type { IHimalia, IProjectStore } from '../tokens';
import type { Parameters } from './parameters';
import { missingClusters } from './rows';

/** What starting a run stands on. */
export interface IStartParts {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** What a run is asked to be, beyond what himalia.toml says. */
export interface IRunAsk {
  params?: Parameters;
  options?: Partial<RunOptions>;
}

/** Milliseconds within which a second press is the same wish: a double click. */
const SAME_WISH = 1000;

/** Slugs of projects for which a run is being asked for. */
const asking = new Set<string>();

/**
 * Run the open project's pipeline; a cluster that it needs and that is not there is offered to be started first.
 *
 * @returns the run; null when there is none, also when one is being asked for already
 */
export async function runPipeline(parts: IStartParts, ask: IRunAsk = {}): Promise<Run | null> {
  const { store } = parts.himalia;
  if (!store || asking.has(store.slug)) {
    return null;
  }
  const { slug } = store;
  asking.add(slug);
  let run: Run | null = null;
  try {
    run = await start(parts, store, ask);
    return run;
  } finally {
    window.setTimeout(() => asking.delete(slug), run ? SAME_WISH : 0);
  }
}

async function start(parts: IStartParts, store: IProjectStore, ask: IRunAsk): Promise<Run | null> {
  const { himalia, trans } = parts;
  try {
    if (!(await haveClusters(parts, store, ask.options))) {
      return null;
    }
  } catch (error) {
    notifyProblem(trans.__('The pipeline could not be run.'), error, trans);
    return null;
  }
  const id = Notification.emit(trans.__('Starting a run of %1…', store.slug), 'in-progress', {
    autoClose: false
  });
  try {
    const run = await postRun(himalia, store.slug, ask);
    tellStarted(parts, store.slug, run, id);
    return run;
  } catch (error) {
    Notification.dismiss(id);
    notifyProblem(trans.__('The pipeline could not be run.'), error, trans);
    return null;
  }
}

/** Have the service run the pipeline. */
export function postRun(himalia: IHimalia, slug: string, ask: IRunAsk): Promise<Run> {
  const { params = {}, options = {} } = ask;
  return himalia.request<Run>('POST', at('projects', slug, 'runs'), { params, options });
}

/** Say that a run has begun, or that there was nothing to do, with the way to it. */
export function tellStarted(parts: IStartParts, slug: string, run: Run, id?: string): void {
  const { commands, trans } = parts;
  const options: Notification.IOptions<null> = {
    autoClose: 4000,
    actions: [
      {
        label: trans.__('Show'),
        callback: () => void commands.execute(CommandIDs.openRun, { run: run.id, slug })
      }
    ]
  };
  const nothing =
    run.status === 'succeeded' && run.stages.every(({ status }) => status === 'skipped');
  const message = nothing
    ? trans.__('Nothing was to be run: all of %1 is up to date.', slug)
    : trans.__('The run %1 of %2 has begun.', shortId(run.id), slug);
  if (id) {
    Notification.update({ id, message, type: 'success', ...options });
  } else {
    Notification.success(message, options);
  }
}

/** Whether all clusters that stages name are there, or were started now. */
export async function haveClusters(
  parts: IStartParts,
  store: IProjectStore,
  options: Partial<RunOptions> = {}
): Promise<boolean> {
  const { trans } = parts;
  const { only } = options;
  const wanted = store.project.stages.filter(({ name }) => !only?.length || only.includes(name));
  const missing = missingClusters(wanted, await knownClusters(parts, store));
  if (missing.length === 0) {
    return true;
  }
  const names = missing.map(name => `'${name}'`).join(', ');
  const stages = wanted.filter(({ cluster }) => cluster && missing.includes(cluster));
  const answer = await showDialog({
    title: trans._n('Start the cluster and run?', 'Start the clusters and run?', missing.length),
    body: trans._n(
      'The stage %2 runs on the cluster %3, which is not there.',
      'The stages %2 run on the clusters %3, which are not there.',
      stages.length,
      stages.map(({ name }) => name).join(', '),
      names
    ),
    buttons: [
      Dialog.cancelButton(),
      Dialog.okButton({
        label: trans._n(
          'Start the cluster %2 and run',
          'Start the clusters and run',
          missing.length,
          names
        )
      })
    ]
  });
  if (!answer.button.accept) {
    return false;
  }
  for (const name of missing) {
    if (!(await startCluster(parts, store, name))) {
      return false;
    }
  }
  return true;
}

/** The clusters; a page that was just opened may not know them yet. */
async function knownClusters(
  parts: IStartParts,
  store: IProjectStore
): Promise<readonly Cluster[]> {
  const path = at('projects', store.slug, 'clusters');
  return (
    store.clusters.items ?? allItems<Cluster>(page => parts.himalia.request('GET', page), path)
  );
}

/** Start a cluster and wait until it runs; tells how it goes. */
async function startCluster(
  parts: IStartParts,
  store: IProjectStore,
  name: string
): Promise<boolean> {
  const { commands, trans } = parts;
  const id = Notification.emit(trans.__('The cluster %1 is starting…', name), 'in-progress', {
    autoClose: false
  });
  try {
    await commands.execute(CommandIDs.startCluster, { name });
    const fault = await untilRuns(store, name, trans);
    if (fault !== null) {
      const message = trans.__('The cluster %1 did not start, so nothing was run. %2', name, fault);
      Notification.update({ id, message, type: 'error', autoClose: false });
    }
    return fault === null;
  } catch (error) {
    Notification.dismiss(id);
    throw error;
  } finally {
    if (store.clusters.items?.some(other => other.name === name && other.state === 'running')) {
      Notification.dismiss(id);
    }
  }
}

/** Milliseconds until a cluster that was asked for has to appear in the list. */
const APPEARS = 10_000;

/** Wait for the store to show the cluster running; the reason when it will not. */
function untilRuns(
  store: IProjectStore,
  name: string,
  trans: TranslationBundle
): Promise<string | null> {
  return new Promise(resolve => {
    let seen = false;
    const done = (fault: string | null) => {
      store.changed.disconnect(look);
      window.clearTimeout(timer);
      resolve(fault);
    };
    const look = () => {
      const cluster = store.clusters.items?.find(other => other.name === name);
      if (cluster?.state === 'running') {
        done(null);
      } else if (cluster?.state === 'failed') {
        done(cluster.error ?? trans.__('It failed.'));
      } else if (cluster) {
        seen = true;
      } else if (seen) {
        done(trans.__('It was stopped.'));
      }
    };
    const timer = window.setTimeout(() => {
      if (!seen) {
        done(trans.__('The message beside this one says why.'));
      }
    }, APPEARS);
    store.changed.connect(look);
    look();
  });
}
