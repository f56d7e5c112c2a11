import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';

import { at } from '../api/request';
import type { CodeUpdated, Run } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem } from '../components/notify';
import type { IHimalia, IProjectStore } from '../tokens';

/** Pause, resume, run, update or delete a schedule. */
export async function operate(
  parts: { himalia: IHimalia; commands: CommandRegistry; trans: TranslationBundle },
  store: IProjectStore,
  name: string,
  act: string
): Promise<void> {
  const { himalia, commands, trans } = parts;
  const { slug } = store;
  const path = at('projects', slug, 'schedules', name);
  try {
    if (act === 'delete') {
      if (await mayDelete(name, trans)) {
        await himalia.request('DELETE', path);
      }
    } else if (act === 'run') {
      const run = await himalia.request<Run>('POST', `${path}/run`);
      await commands.execute(CommandIDs.openRun, { run: run.id, slug });
    } else if (act === 'update-code') {
      const { changed } = await himalia.request<CodeUpdated>('POST', `${path}/update-code`);
      Notification.success(
        changed
          ? trans.__('%1 runs the code of now, in your name, from its next time on.', name)
          : trans.__('%1 has the code of now already.', name),
        { autoClose: 5000 }
      );
    } else if (act === 'pause' || act === 'resume') {
      await himalia.request('POST', `${path}/${act}`);
    }
  } catch (error) {
    notifyProblem(trans.__('Nothing was changed about the schedule %1.', name), error, trans);
  }
}

async function mayDelete(name: string, trans: TranslationBundle): Promise<boolean> {
  const { button } = await showDialog({
    title: trans.__('Delete the schedule %1?', name),
    body: trans.__(
      'It starts no more runs, and its history goes. Runs that it has started stay; one that goes on is not stopped.'
    ),
    defaultButton: 0,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Delete') })
    ]
  });
  return button.accept;
}
