import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { InputDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { RequestError, at } from '../api/request';
import { whyNot } from '../api/roles';
import { Deployment } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem, unless } from '../components/notify';
import { Documents } from '../frame/documents';
import { IHimalia } from '../tokens';
import { freeName } from './names';

interface IRoom {
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
    execute: unless(mayNotAsk, args => deploy(room, args))
  });
  commands.addCommand(CommandIDs.confirmDeployment, {
    label: trans.__('Confirm a Deployment…'),
    describedBy: schema('name', 'version'),
    caption: () => mayNotWrite() ?? trans.__('Deploy the version that waits'),
    isEnabled: () => mayNotWrite() === null && some(item => item.requested_version !== null),
    execute: unless(mayNotWrite, args => confirm(room, args))
  });
  commands.addCommand(CommandIDs.openDeployment, {
    label: trans.__('Open an Endpoint…'),
    caption: trans.__('Try an endpoint, and see its revisions'),
    describedBy: schema('name', 'slug'),
    isEnabled: args => typeof args['name'] === 'string' || some(),
    execute: args => open(room, args)
  });
  commands.addCommand(CommandIDs.deleteDeployment, {
    label: trans.__('Delete an Endpoint…'),
    describedBy: schema('name'),
    caption: () => mayNotWrite() ?? trans.__('Take an endpoint down'),
    isEnabled: () => mayNotWrite() === null && some(),
    execute: unless(mayNotWrite, args => remove(room, args))
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

async function deploy(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
  const { app, himalia, trans } = room;
  const { store } = himalia;
  if (!store) {
    return;
  }
  const act = (body: { name: string; model: string }) =>
    himalia.request<Deployment>('POST', at('projects', store.slug, 'deployments'), body);
  const name = typeof args['name'] === 'string' ? args['name'] : undefined;
  const model = typeof args['model'] === 'string' ? args['model'] : undefined;
  let failure: unknown;
  if (name !== undefined && model !== undefined) {
    try {
      await act({ name, model });
      return;
    } catch (error) {
      if (!(error instanceof RequestError) || error.field !== 'name') {
        notifyProblem(trans.__('The endpoint %1 could not be deployed.', name), error, trans);
        return;
      }
      failure = error; // the name is another project's: the dialog offers one that is not
    }
  }
  const given = failure === undefined ? name : freeName(store.slug, name ?? '');
  const { askForDeployment } = await import('./dialogs');
  const made = await askForDeployment(store, act, trans, { name: given, model, failure });
  if (made) {
    await app.commands.execute(CommandIDs.openDeployment, { name: made });
  }
}

async function confirm(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
  const { himalia, trans } = room;
  const waiting = (item: Deployment) => item.requested_version !== null;
  const deployment = await choose(room, args, waiting);
  const version = args['version'] ?? deployment?.requested_version;
  if (!himalia.store || !deployment || typeof version !== 'string') {
    return;
  }
  const path = at('projects', himalia.store.slug, 'deployments', deployment.name, 'confirm');
  try {
    await himalia.request('POST', path, { version });
  } catch (error) {
    notifyProblem(trans.__('Version %1 could not be confirmed.', version), error, trans);
  }
}

async function open(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
  const { app, himalia, trans, documents } = room;
  const slug = String(args['slug'] ?? himalia.store?.slug ?? '');
  const name = typeof args['name'] === 'string' ? args['name'] : (await choose(room, args))?.name;
  if (!slug || !name) {
    return;
  }
  const { makeDeployment } = await import('./document');
  await documents.open(`${slug}-${name}`, { slug, name }, async () =>
    makeDeployment({ commands: app.commands, himalia, trans, slug, name })
  );
}

async function remove(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
  const { himalia, trans } = room;
  const deployment = await choose(room, args);
  if (!himalia.store || !deployment) {
    return;
  }
  const { confirmDelete } = await import('./dialogs');
  if (!(await confirmDelete(deployment, trans))) {
    return;
  }
  try {
    const path = at('projects', himalia.store.slug, 'deployments', deployment.name);
    await himalia.request('DELETE', path);
  } catch (error) {
    const what = trans.__('The endpoint %1 could not be deleted.', deployment.name);
    notifyProblem(what, error, trans);
  }
}

/** The named endpoint, or the only one, or one that the user chooses. */
async function choose(
  room: IRoom,
  args: ReadonlyPartialJSONObject,
  filter: (item: Deployment) => boolean = () => true
): Promise<Deployment | null> {
  const items = room.himalia.store?.deployments.items ?? [];
  if (typeof args['name'] === 'string') {
    return items.find(item => item.name === args['name']) ?? null;
  }
  const fitting = items.filter(filter);
  if (fitting.length < 2) {
    return fitting[0] ?? null;
  }
  const chosen = await InputDialog.getItem({
    title: room.trans.__('Which endpoint?'),
    items: fitting.map(item => item.name)
  });
  return (chosen.button.accept && fitting.find(item => item.name === chosen.value)) || null;
}
