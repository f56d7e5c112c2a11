import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { TranslationBundle } from '@jupyterlab/translation';

import { whyNot } from '../api/roles';
import type { Deployment } from '../api/types';
import { CommandIDs } from '../commands';
import { unless } from '../components/notify';
import { Documents } from '../frame/documents';
import { IHimalia } from '../tokens';

/** What the room's commands stand on. */
export interface IRoom {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  trans: TranslationBundle;
  documents: Documents;
}

/** Register the room's commands; returns those for the palette. */
export function addDeploymentCommands(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  trans: TranslationBundle,
  restorer: ILayoutRestorer | null
): string[] {
  const documents = new Documents(app, 'himalia-deployment', CommandIDs.openDeployment, restorer);
  const room: IRoom = { app, himalia, trans, documents };
  const { commands } = app;
  const text = { type: 'string' };
  const schema = (...names: string[]) => ({
    args: { type: 'object', properties: Object.fromEntries(names.map(name => [name, text])) }
  });
  const some = (filter: (item: Deployment) => boolean = () => true) =>
    Boolean(himalia.store?.deployments.items?.some(filter));

  const mayNotAsk = () => whyNot(himalia, 'deployment.request', trans);
  const mayNotWrite = () => whyNot(himalia, 'deployment.write', trans);
  commands.addCommand(CommandIDs.deploy, {
    label: trans.__('Deploy a Model…'),
    caption: () => mayNotAsk() ?? trans.__('Put a model version behind an endpoint'),
    describedBy: schema('name', 'model'),
    isEnabled: () => mayNotAsk() === null,
    execute: unless(mayNotAsk, async args => (await import('./acts')).deploy(room, args))
  });
  commands.addCommand(CommandIDs.confirmDeployment, {
    label: trans.__('Confirm a Deployment…'),
    describedBy: schema('name', 'version'),
    caption: () => mayNotWrite() ?? trans.__('Deploy the version that waits'),
    isEnabled: () => mayNotWrite() === null && some(item => item.requested_version !== null),
    execute: unless(mayNotWrite, async args => (await import('./acts')).confirm(room, args))
  });
  commands.addCommand(CommandIDs.openDeployment, {
    label: trans.__('Open an Endpoint…'),
    caption: trans.__('Try an endpoint, and see its revisions'),
    describedBy: schema('name', 'slug'),
    isEnabled: args => typeof args['name'] === 'string' || some(),
    execute: async args => (await import('./acts')).open(room, args)
  });
  commands.addCommand(CommandIDs.deleteDeployment, {
    label: trans.__('Delete an Endpoint…'),
    describedBy: schema('name'),
    caption: () => mayNotWrite() ?? trans.__('Take an endpoint down'),
    isEnabled: () => mayNotWrite() === null && some(),
    execute: unless(mayNotWrite, async args => (await import('./acts')).remove(room, args))
  });
  const all = [
    CommandIDs.deploy,
    CommandIDs.confirmDeployment,
    CommandIDs.openDeployment,
    CommandIDs.deleteDeployment
  ];
  himalia.changed.connect(() => all.forEach(id => commands.notifyCommandChanged(id)));
  return all;
}
