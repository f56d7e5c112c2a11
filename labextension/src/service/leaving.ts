import { ILabShell, ILabStatus, ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, IWindowResolver, showDialog } from '@jupyterlab/apputils';
import { IStateDB } from '@jupyterlab/statedb';
import { TranslationBundle } from '@jupyterlab/translation';

/** What keeps a page's layout; each may be missing. */
export interface ILeavingParts {
  app: JupyterFrontEnd;
  labShell: ILabShell;
  state: IStateDB | null;
  restorer: ILayoutRestorer | null;
  resolver: IWindowResolver | null;
  status: ILabStatus | null;
  /** Whether unsaved files are saved without a question. */
  savesSilently: () => boolean;
  trans: TranslationBundle;
}

/**
 * Make the page ready to be left for another workspace: nothing that was typed or arranged is lost.
 *
 * JupyterLab writes a layout half a second after it has changed, so that the last change would be lost with the page.
 *
 * @returns false when the user wants to stay
 */
export async function makeReadyToLeave(parts: ILeavingParts): Promise<boolean> {
  if (parts.status?.isDirty && !(await saveAll(parts))) {
    return false;
  }
  await keepLayout(parts);
  return true;
}

async function saveAll({ app, trans, savesSilently }: ILeavingParts): Promise<boolean> {
  if (savesSilently()) {
    await app.commands.execute('docmanager:save-all');
    return true;
  }
  const { button } = await showDialog({
    title: trans.__('Save before you go?'),
    body: trans.__(
      'Some files of this project have changes that are not saved. They are saved, then the other project is opened.'
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Stay Here') }),
      Dialog.okButton({ label: trans.__('Save All and Go') })
    ]
  });
  if (button.accept) {
    await app.commands.execute('docmanager:save-all');
  }
  return button.accept;
}

/** Write layout and state of this page's workspace now. */
async function keepLayout(parts: ILeavingParts): Promise<void> {
  const { app, labShell, state, resolver } = parts;
  if (!state || !resolver) {
    return;
  }
  try {
    const saver = parts.restorer as { save?: (layout: ILabShell.ILayout) => Promise<void> } | null;
    await saver?.save?.(labShell.saveLayout());
    const { workspaces } = app.serviceManager;
    const data = (await state.toJSON()) as Parameters<typeof workspaces.save>[1]['data'];
    await workspaces.save(resolver.name, { data, metadata: { id: resolver.name } });
  } catch {
    return; // what JupyterLab wrote last will be restored
  }
}
