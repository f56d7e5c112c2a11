import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { TranslationBundle } from '@jupyterlab/translation';

import { whyNot } from '../api/roles';
import { CommandIDs } from '../commands';
import { unless } from '../components/notify';
import { Documents } from '../frame/documents';
import type { IHimalia } from '../tokens';

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
    execute: unless(refusal, async args =>
      (await import('./acts')).startCluster(himalia, trans, args)
    )
  });
  commands.addCommand(CommandIDs.scaleCluster, {
    label: trans.__('Scale a Cluster…'),
    caption: () => refusal() ?? trans.__('Change the number of workers'),
    describedBy: {
      args: { type: 'object', properties: { name: text, workers: { type: 'integer' } } }
    },
    isEnabled: () => isEnabled() && hasCluster(),
    execute: unless(refusal, async args => {
      const { scaleCluster, withCluster } = await import('./acts');
      await withCluster(himalia, trans, args, scaleCluster);
    })
  });
  commands.addCommand(CommandIDs.stopCluster, {
    label: trans.__('Stop a Cluster…'),
    caption: () => refusal() ?? trans.__('End the workers'),
    describedBy: { args: { type: 'object', properties: { name: text } } },
    isEnabled: () => isEnabled() && hasCluster(),
    execute: unless(refusal, async args => {
      const { stopCluster, withCluster } = await import('./acts');
      await withCluster(himalia, trans, args, stopCluster);
    })
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
        typeof args['name'] === 'string'
          ? args['name']
          : await (await import('./acts')).chooseName(himalia, trans);
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
