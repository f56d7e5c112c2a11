import { Notification } from '@jupyterlab/apputils';

import { toProblem } from '../api/problem';
import type { Project } from '../api/types';
import { CommandIDs } from '../commands';
import type { IProblem } from '../tokens';
import type { IProjectCommandParts } from './commands';
import type { IProjectDraft, ProjectForm } from './projectForm';

/**
 * Go on telling how far a project is whose dialog was closed, and how that ends.
 *
 * @param again - asks again, with what was entered and why it failed
 */
export async function followInBackground(
  { app, trans }: Pick<IProjectCommandParts, 'app' | 'trans'>,
  form: ProjectForm,
  making: Promise<Project>,
  again: (draft: IProjectDraft, problem: IProblem) => void
): Promise<void> {
  const id = Notification.emit(form.doing, 'in-progress', { autoClose: false });
  const tell = () => {
    if (form.busy) {
      Notification.update({ id, message: form.doing });
    }
  };
  const end = (
    type: 'success' | 'error',
    message: string,
    options: Notification.IOptions<null>
  ) => {
    // who has put it away wants to know the end all the same
    if (!Notification.update({ id, type, message, ...options })) {
      Notification.emit(message, type, options);
    }
  };
  form.changed.connect(tell);
  const { draft } = form;
  try {
    const { slug } = await making;
    end('success', trans.__('The project %1 is made.', slug), {
      autoClose: 30_000,
      actions: [
        {
          label: trans.__('Open'),
          callback: () => void app.commands.execute(CommandIDs.openProject, { slug })
        }
      ]
    });
  } catch (error) {
    const problem = toProblem(error, trans);
    const told = trans.__('The project %1 was not made.', draft.name);
    end('error', [told, problem.message, problem.hint].filter(Boolean).join(' '), {
      autoClose: false,
      actions: [{ label: trans.__('Try Again…'), callback: () => again(draft, problem) }]
    });
  } finally {
    form.changed.disconnect(tell);
  }
}
