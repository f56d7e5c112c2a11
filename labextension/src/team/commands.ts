import { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { at } from '../api/request';
import { whyNot } from '../api/roles';
import { CommandIDs } from '../commands';
import { notifyProblem, tell, unless } from '../components/notify';
import type { IHimalia } from '../tokens';
import { IMemberList, MEMBERS } from './question';

/** Register the room's commands. */
export function addTeamCommands(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  trans: TranslationBundle
): void {
  const { commands } = app;
  const refusal = () => whyNot(himalia, 'member.write', trans);
  const isEnabled = () => refusal() === null;
  const describedBy = {
    args: { type: 'object', properties: { user: { type: 'string' } } }
  } as const;
  commands.addCommand(CommandIDs.setMember, {
    label: trans.__('Add a Member…'),
    caption: () => refusal() ?? trans.__('Let somebody else into the project'),
    describedBy,
    isEnabled,
    execute: unless(refusal, args => setMember(himalia, trans, args))
  });
  commands.addCommand(CommandIDs.removeMember, {
    label: trans.__('Remove a Member…'),
    caption: () => refusal() ?? trans.__('Take somebody out of the project'),
    describedBy,
    isEnabled,
    execute: unless(refusal, args => removeMember(himalia, trans, args))
  });
  himalia.changed.connect(() => {
    commands.notifyCommandChanged(CommandIDs.setMember);
    commands.notifyCommandChanged(CommandIDs.removeMember);
  });
}

async function setMember(
  himalia: IHimalia,
  trans: TranslationBundle,
  args: ReadonlyPartialJSONObject
): Promise<void> {
  const { store } = himalia;
  if (!store) {
    return;
  }
  const { slug } = store;
  const members = store.part<IMemberList>(MEMBERS).value?.items ?? [];
  const known = members.find(({ user }) => user === args['user']) ?? null;
  const { askForMember } = await import('./dialog');
  await askForMember({ slug, known, members, trans }, async ({ user, role }) => {
    await himalia.request('PUT', at('projects', slug, 'members', user), { role });
  });
}

async function removeMember(
  himalia: IHimalia,
  trans: TranslationBundle,
  args: ReadonlyPartialJSONObject
): Promise<void> {
  const { store } = himalia;
  const user = args['user'];
  if (!store || typeof user !== 'string') {
    return;
  }
  const { slug } = store;
  const oneself = user === himalia.user;
  const { button } = await showDialog({
    title: oneself ? trans.__('Leave %1?', slug) : trans.__('Remove %1 from %2?', user, slug),
    body: oneself
      ? trans.__('You no longer see the project, until an owner adds you again.')
      : trans.__(
          'They no longer see the project, and their kernels can no longer act in it. What they made stays.'
        ),
    defaultButton: 0,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: oneself ? trans.__('Leave') : trans.__('Remove') })
    ]
  });
  if (!button.accept) {
    return;
  }
  try {
    await himalia.request('DELETE', at('projects', slug, 'members', user));
    tell('success', trans.__('%1 is no member of %2 any more.', user, slug));
    if (oneself) {
      await store.refresh(); // events of the project are no longer for us
    }
  } catch (error) {
    notifyProblem(trans.__('%1 is still a member.', user), error, trans);
  }
}
