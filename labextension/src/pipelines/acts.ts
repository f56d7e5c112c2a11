import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';

import { at } from '../api/request';
import type { Run } from '../api/types';
import { CommandIDs } from '../commands';
import { shortId } from '../components/format';
import { notifyProblem, tell } from '../components/notify';
import type { IPipelineParts } from './commands';
import type { IStartParts } from './start';

/** Run what a run has left: what failed, and what comes after it. */
export async function resumeRun(parts: IStartParts, slug: string, id: string): Promise<void> {
  const { himalia, commands, trans } = parts;
  try {
    const run = await himalia.request<Run>('POST', at('projects', slug, 'runs', id, 'resume'));
    Notification.success(
      trans.__('The run %1 goes on with what %2 has left.', shortId(run.id), shortId(id)),
      { autoClose: 4000 }
    );
    await commands.execute(CommandIDs.openRun, { run: run.id, slug });
  } catch (error) {
    notifyProblem(trans.__('The run %1 could not be resumed.', shortId(id)), error, trans);
  }
}

/** Outputs that a question names; of more it tells the number. */
const NAMED = 8;

/** Put what a run has made into the project's folder, once it was asked for. */
export async function restoreOutputs(parts: IStartParts, slug: string, id: string): Promise<void> {
  const { himalia, trans } = parts;
  const failed = trans.__('The outputs were not put into the folder.');
  let paths: string[];
  try {
    const run = await himalia.request<Run>('GET', at('projects', slug, 'runs', id));
    paths = run.stages.flatMap(({ outputs }) => Object.keys(outputs));
  } catch (error) {
    notifyProblem(failed, error, trans);
    return;
  }
  const more = paths.length - NAMED;
  const named = paths.slice(0, NAMED).join(', ');
  const { button } = await showDialog({
    title: trans.__('Put the outputs of run %1 into the folder?', shortId(id)),
    body: trans.__(
      'As the folder of %1 has them now, they are replaced by the run’s own: %2.',
      slug,
      more > 0 ? trans._n('%2 and %1 more', '%2 and %1 more', more, named) : named
    ),
    defaultButton: 0,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Put them there') })
    ]
  });
  if (!button.accept) {
    return;
  }
  try {
    const path = at('projects', slug, 'runs', id, 'outputs', 'restore');
    const { paths: written } = await himalia.request<{ paths: string[] }>('POST', path);
    Notification.success(
      written.length > 0
        ? trans.__('In the folder again: %1.', written.join(', '))
        : trans.__('The folder has them already.'),
      { autoClose: 6000 }
    );
  } catch (error) {
    notifyProblem(failed, error, trans);
  }
}

/** Cancel a run, once it was asked for. */
export async function cancelRun(parts: IStartParts, slug: string, id: string): Promise<void> {
  const { himalia, trans } = parts;
  const run = himalia.store?.runs.items?.find(candidate => candidate.id === id);
  const stages = run?.stages.filter(({ status }) => status === 'running').map(({ name }) => name);
  const { button } = await showDialog({
    title: trans.__('Cancel the run %1 of %2?', shortId(id), slug),
    body: stages?.length
      ? trans.__(
          '%1 is interrupted where it is; its notebook is kept. Later stages do not run.',
          stages.join(', ')
        )
      : trans.__('Stages that have not begun do not run.'),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Let it run') }),
      Dialog.warnButton({ label: trans.__('Cancel the run') })
    ]
  });
  if (!button.accept) {
    return;
  }
  try {
    await himalia.request<Run>('POST', at('projects', slug, 'runs', id, 'cancel'));
  } catch (error) {
    notifyProblem(trans.__('The run %1 could not be cancelled.', shortId(id)), error, trans);
  }
}

/** The notebook of a stage, in the project’s folder. */
export async function openStageNotebook(parts: IPipelineParts, name: string): Promise<void> {
  const { app, himalia, trans } = parts;
  const stage = himalia.store?.project.stages.find(candidate => candidate.name === name);
  const folder = himalia.store?.contentsPath;
  if (!stage) {
    tell('warning', trans.__('There is no stage %1 in the open project.', name));
  } else if (typeof folder !== 'string') {
    Notification.warning(
      trans.__(
        'The notebook lies in %1, outside of what this JupyterLab shows. Start JupyterLab there to edit it.',
        himalia.store?.project.path ?? ''
      ),
      { autoClose: false }
    );
  } else {
    await app.commands.execute('docmanager:open', { path: PathExt.join(folder, stage.notebook) });
  }
}
