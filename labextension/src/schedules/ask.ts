import { Notification } from '@jupyterlab/apputils';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { tell } from '../components/notify';
import { chosenNotebook, inProject } from '../frame/chosenNotebook';
import type { IScheduleParts } from './commands';
import { askForSchedule } from './dialog';
import { schedulesOf } from './question';

/** Ask for a new schedule of what the arguments name, or for changes of one. */
export async function ask(parts: IScheduleParts, args: ReadonlyPartialJSONObject): Promise<void> {
  const { app, himalia, browser, trans } = parts;
  const { store } = himalia;
  if (!store) {
    return;
  }
  const known = schedulesOf(store).value ?? [];
  const schedule = known.find(({ name }) => name === args.schedule) ?? null;
  if (schedule) {
    const { target } = schedule;
    const notebook = target.kind === 'notebook' ? target.notebook : null;
    await askForSchedule({ himalia, store, trans, notebook, schedule });
    return;
  }
  const path = args.pipeline === true ? null : chosenNotebook(app, browser, args);
  const notebook = path === null ? null : inProject(store, path);
  if (path !== null && notebook === null) {
    tell(
      'warning',
      trans.__(
        '%1 lies outside of the project %2: only its notebooks can be scheduled.',
        path,
        store.slug
      )
    );
    return;
  }
  if (await askForSchedule({ himalia, store, trans, notebook, schedule: null })) {
    Notification.success(trans.__('Scheduled. The sidebar shows when it runs next.'), {
      autoClose: 5000
    });
  }
}
