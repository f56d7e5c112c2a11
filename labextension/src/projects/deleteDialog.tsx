import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Removal } from '../api/types';
import { CommandIDs } from '../commands';
import { formatBytes } from '../components/format';
import { notifyProblem, tell } from '../components/notify';
import type { IProjectCommandParts } from './commands';
import { leaveFolder } from './followFolder';
import { countKernels } from './kernels';
import { projectPath } from './life';

/** Ask whether a project is to be deleted, naming what goes with it; delete it, and offer to undo that. */
export async function deleteProject(parts: IProjectCommandParts, slug: string): Promise<void> {
  const { himalia, trans, app } = parts;
  try {
    const removal = await himalia.request<Removal>('GET', projectPath(slug, 'removal'));
    const kernels = await countKernels(app.serviceManager, himalia, slug);
    const chosen = await confirm(removal, kernels, trans);
    if (chosen === null) {
      return;
    }
    const path = projectPath(slug);
    if (chosen.files) {
      await leaveFolder(app, himalia, removal.folder);
    }
    await himalia.request('DELETE', chosen.files ? `${path}?remove_files=true` : path);
    Notification.success(
      trans.__('%1 is deleted. It can be restored for %2 days.', slug, removal.days),
      {
        autoClose: 20_000,
        actions: [
          {
            label: trans.__('Undo'),
            callback: () => void app.commands.execute(CommandIDs.restoreProject, { slug })
          }
        ]
      }
    );
  } catch (error) {
    notifyProblem(trans.__('The project %1 was not deleted.', slug), error, trans);
  }
}

/** Archive a project; asks before that when something runs in it, since undoing does not bring that back. */
export async function archiveProject(parts: IProjectCommandParts, slug: string): Promise<void> {
  const { himalia, trans, app } = parts;
  try {
    const removal = await himalia.request<Removal>('GET', projectPath(slug, 'removal'));
    const kernels = await countKernels(app.serviceManager, himalia, slug);
    const stops = whatStops(removal, trans, kernels);
    if (stops.length > 0) {
      const { button } = await showDialog({
        title: trans.__('Archive the project %1?', slug),
        body: trans.__(
          'It is hidden, with everything that it holds, until it is brought back. What runs is stopped: %1.',
          stops.join('; ')
        ),
        defaultButton: 0,
        buttons: [
          Dialog.cancelButton({ label: trans.__('Cancel') }),
          Dialog.warnButton({ label: trans.__('Archive') })
        ]
      });
      if (!button.accept) {
        return;
      }
    }
    await himalia.request('POST', projectPath(slug, 'archive'));
    Notification.success(trans.__('%1 is archived: it is hidden, and nothing runs in it.', slug), {
      autoClose: 15_000,
      actions: [
        {
          label: trans.__('Undo'),
          callback: () => void app.commands.execute(CommandIDs.unarchiveProject, { slug })
        }
      ]
    });
  } catch (error) {
    notifyProblem(trans.__('The project %1 was not archived.', slug), error, trans);
  }
}

/** Ask whether a deleted project is to be removed now instead of later; it cannot be undone. */
export async function purgeProject(parts: IProjectCommandParts, slug: string): Promise<void> {
  const { himalia, trans } = parts;
  try {
    const removal = await himalia.request<Removal>('GET', projectPath(slug, 'removal'));
    const { button } = await showDialog({
      title: trans.__('Remove %1 for good?', slug),
      body: trans.__(
        'This cannot be undone. With it go: %1.',
        whatGoes(removal, trans).join('; ') || trans.__('nothing but the project itself')
      ),
      defaultButton: 0,
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.warnButton({ label: trans.__('Remove for Good') })
      ]
    });
    if (button.accept) {
      await himalia.request('DELETE', `${projectPath(slug)}?purge=true`);
      tell('success', trans.__('%1 is removed.', slug));
    }
  } catch (error) {
    notifyProblem(trans.__('The project %1 was not removed.', slug), error, trans);
  }
}

async function confirm(
  removal: Removal,
  kernels: number,
  trans: TranslationBundle
): Promise<{ files: boolean } | null> {
  let files = false;
  const onFiles = (wanted: boolean) => (files = wanted);
  const body = ReactWidget.create(<Body {...{ removal, kernels, onFiles, trans }} />);
  const { button } = await showDialog({
    title: trans.__('Delete the project %1?', removal.project),
    body,
    defaultButton: 0,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Delete') })
    ]
  });
  return button.accept ? { files } : null;
}

function Body(props: {
  removal: Removal;
  kernels: number;
  onFiles: (wanted: boolean) => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const { removal, kernels, onFiles, trans } = props;
  const [files, setFiles] = React.useState(false);
  const goes = whatGoes(removal, trans, kernels);
  return (
    <div className="jp-Himalia-removal">
      {goes.length > 0 && (
        <>
          <p>{trans.__('With it go:')}</p>
          <ul>
            {goes.map(line => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </>
      )}
      {removal.used_by.length > 0 && (
        <p>
          {trans.__(
            'Its components are used by %1; the versions that they use stay.',
            [...new Set(removal.used_by.map(({ project }) => project))].join(', ')
          )}
        </p>
      )}
      <p>
        {trans._n(
          'For %1 day it can be restored, all of it.',
          'For %1 days it can be restored, all of it.',
          removal.days
        )}
      </p>
      <label className="jp-Himalia-check">
        <input
          type="checkbox"
          checked={files}
          onChange={event => {
            onFiles(event.target.checked);
            setFiles(event.target.checked);
          }}
        />
        <span>
          {trans.__('Delete its folder as well')}
          <span className="jp-Himalia-muted">
            {trans._n(
              '%2 file, %3, in %4',
              '%2 files, %3, in %4',
              removal.more ? removal.files + 1 : removal.files,
              `${removal.files}${removal.more ? '+' : ''}`,
              formatBytes(removal.bytes),
              removal.folder
            )}
          </span>
        </span>
      </label>
    </div>
  );
}

/**
 * What runs in a project and ends when it is archived, a line for each kind.
 *
 * @param kernels - how many kernels of it this Jupyter runs
 */
export function whatStops(removal: Removal, trans: TranslationBundle, kernels = 0): string[] {
  const { running, endpoints, clusters } = removal;
  return [
    running > 0 && trans._n('%1 run, which is cancelled', '%1 runs, which are cancelled', running),
    endpoints.length > 0 &&
      trans.__('endpoints, which answer again when it is brought back: %1', endpoints.join(', ')),
    clusters.length > 0 && trans.__('clusters: %1', clusters.join(', ')),
    kernels > 0 && kernelsLine(kernels, trans)
  ].filter(line => line !== false);
}

/**
 * What is removed with a project, a line for each kind.
 *
 * @param kernels - how many kernels of it this Jupyter runs
 */
export function whatGoes(removal: Removal, trans: TranslationBundle, kernels = 0): string[] {
  const { runs, running, models, versions, endpoints, clusters, secrets, components } = removal;
  return [
    runs > 0 && trans._n('%1 run', '%1 runs', runs),
    running > 0 &&
      trans._n(
        '%1 of them goes on, and is cancelled',
        '%1 of them go on, and are cancelled',
        running
      ),
    kernels > 0 && kernelsLine(kernels, trans),
    models !== null &&
      models > 0 &&
      trans.__(
        '%1 with %2',
        trans._n('%1 model', '%1 models', models),
        trans._n('%1 version', '%1 versions', versions ?? 0)
      ),
    endpoints.length > 0 && trans.__('endpoints, which stop answering: %1', endpoints.join(', ')),
    clusters.length > 0 && trans.__('clusters, which are stopped: %1', clusters.join(', ')),
    secrets > 0 && trans._n('%1 secret', '%1 secrets', secrets),
    components > 0 &&
      trans._n(
        'the right to publish %1 component version anew',
        'the right to publish %1 component versions anew',
        components
      )
  ].filter(line => line !== false);
}

function kernelsLine(kernels: number, trans: TranslationBundle): string {
  return trans._n(
    '%1 kernel, which is shut down: its variables are lost',
    '%1 kernels, which are shut down: their variables are lost',
    kernels
  );
}
