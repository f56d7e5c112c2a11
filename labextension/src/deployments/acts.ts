import { InputDialog } from '@jupyterlab/apputils';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { at, RequestError } from '../api/request';
import type { Deployment } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem } from '../components/notify';
import type { IRoom } from './commands';
import { freeName } from './names';

/** Deploy a model version; asks for what the arguments leave open. */
export async function deploy(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
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

/** Confirm the version that waits. */
export async function confirm(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
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

/** Open the document of an endpoint. */
export async function open(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
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

/** Delete an endpoint, once it was asked for. */
export async function remove(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
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
