import { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, InputDialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { at, RequestError } from '../api/request';
import { whyNot } from '../api/roles';
import type { SecretChanged } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem, tell, unless } from '../components/notify';
import type { IHimalia } from '../tokens';
import { nameFault } from './names';
import { ISecretList, SECRETS } from './question';

/** Register the room's commands. */
export function addSecretCommands(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  trans: TranslationBundle
): void {
  const { commands } = app;
  const refusal = () => whyNot(himalia, 'secret.write', trans);
  const isEnabled = () => refusal() === null;
  const describedBy = {
    args: { type: 'object', properties: { name: { type: 'string' } } }
  } as const;
  commands.addCommand(CommandIDs.setSecret, {
    label: trans.__('Set a Secret…'),
    caption: () => refusal() ?? trans.__('A value that kernels and stages get as a variable'),
    describedBy,
    isEnabled,
    execute: unless(refusal, args => setSecret(himalia, trans, args))
  });
  commands.addCommand(CommandIDs.deleteSecret, {
    label: trans.__('Delete a Secret…'),
    caption: () => refusal() ?? trans.__('Forget a secret of the project'),
    describedBy,
    isEnabled,
    execute: unless(refusal, args => deleteSecret(himalia, trans, args))
  });
  himalia.changed.connect(() => {
    commands.notifyCommandChanged(CommandIDs.setSecret);
    commands.notifyCommandChanged(CommandIDs.deleteSecret);
  });
}

async function setSecret(
  himalia: IHimalia,
  trans: TranslationBundle,
  args: ReadonlyPartialJSONObject
): Promise<void> {
  const { store } = himalia;
  if (!store) {
    return;
  }
  const { askForSecret } = await import('./dialog');
  const known = typeof args['name'] === 'string' ? args['name'] : null;
  let changed: SecretChanged | null = null;
  await askForSecret(known, trans, async draft => {
    const { value } = draft;
    const name = draft.name.trim();
    const ofName = nameFault(name, trans);
    if (ofName !== null) {
      throw new RequestError(422, ofName, '', 'name');
    }
    if (value === '') {
      const hint = known === null ? '' : trans.__('“Delete” takes a secret away.');
      throw new RequestError(422, trans.__('The value is empty.'), hint, 'value');
    }
    const path = at('projects', store.slug, 'secrets', name);
    changed = await himalia.request<SecretChanged>('PUT', path, { value });
  });
  const set = changed as SecretChanged | null;
  if (set) {
    tell('success', `${trans.__('The secret %1 is set.', set.name)} ${set.note}`.trim());
  }
}

async function deleteSecret(
  himalia: IHimalia,
  trans: TranslationBundle,
  args: ReadonlyPartialJSONObject
): Promise<void> {
  const { store } = himalia;
  const name = typeof args['name'] === 'string' ? args['name'] : await chooseName(himalia, trans);
  if (!store || !name) {
    return;
  }
  const { button } = await showDialog({
    title: trans.__('Delete the secret %1?', name),
    body: trans.__(
      'Kernels and stages of %1 no longer get it from their next start. Those that run keep it until they end. The value cannot be brought back.',
      store.slug
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Delete') })
    ]
  });
  if (!button.accept) {
    return;
  }
  try {
    await himalia.request('DELETE', at('projects', store.slug, 'secrets', name));
  } catch (error) {
    notifyProblem(trans.__('The secret %1 could not be deleted.', name), error, trans);
  }
}

async function chooseName(himalia: IHimalia, trans: TranslationBundle): Promise<string | null> {
  const names = himalia.store?.part<ISecretList>(SECRETS).value?.items.map(({ name }) => name);
  if (!names?.length) {
    tell('info', trans.__('This project has no secrets.'));
    return null;
  }
  const chosen = await InputDialog.getItem({ title: trans.__('Which secret?'), items: names });
  return chosen.button.accept ? chosen.value : null;
}
