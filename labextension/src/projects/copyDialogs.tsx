import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { tell } from '../components/notify';
import { RequestError } from '../api/request';
import type { Project } from '../api/types';
import { CommandIDs } from '../commands';
import { askAndAct, FormField } from '../frame/ask';
import type { IProjectCommandParts } from './commands';
import { projectPath } from './life';
import { freeName, nameFault, pathFault } from './names';

type IParts = Pick<IProjectCommandParts, 'app' | 'himalia' | 'trans'>;

/** Ask for the name of a copy, make it and open it. */
export async function cloneProject({ app, himalia, trans }: IParts, slug: string): Promise<void> {
  const taken = (himalia.projects ?? []).map(project => project.slug);
  let made: Project | null = null;
  await askAndAct({
    title: trans.__('Clone %1', slug),
    accept: trans.__('Clone'),
    initial: { name: freeName(slug, taken), data: false },
    trans,
    form: ({ value, change, faulty }) => (
      <>
        <TextField
          label={trans.__('Name of the copy')}
          hint={trans.__(
            'Its code and settings are copied; runs, models, secrets and members are not.'
          )}
          faulty={faulty === 'name'}
          value={value.name}
          onChange={name => change({ name })}
        />
        <CheckField
          label={trans.__('Copy its data as well')}
          hint={trans.__('The files that its stages name as inputs.')}
          value={value.data}
          onChange={data => change({ data })}
        />
      </>
    ),
    act: async ({ name, data }) => {
      const fault = nameFault(name, taken, trans);
      if (fault !== null) {
        throw new RequestError(422, fault, '', 'name');
      }
      const doing = trans.__('Cloning %1 into %2…', slug, name);
      made = await telling(doing, () =>
        himalia.request<Project>('POST', projectPath(slug, 'clone'), { name, data })
      );
    }
  });
  const copy = made as Project | null;
  if (copy) {
    await app.commands.execute(CommandIDs.openProject, { slug: copy.slug });
  }
}

/** Ask what goes along, and have the browser save the project as one file. */
export async function exportProject(
  { himalia, trans }: Omit<IParts, 'app'>,
  slug: string
): Promise<void> {
  await askAndAct({
    title: trans.__('Export %1', slug),
    accept: trans.__('Export'),
    initial: { data: true, outputs: false },
    trans,
    form: ({ value, change }) => (
      <>
        <p className="jp-Himalia-muted">
          {trans.__(
            'One file with its code and settings, which opens on another site. No secrets, runs and models.'
          )}
        </p>
        <CheckField
          label={trans.__('Its data as well')}
          hint={trans.__('The files that its stages name as inputs, of at most 256 MiB each.')}
          value={value.data}
          onChange={data => change({ data })}
        />
        <CheckField
          label={trans.__('What its stages have made')}
          hint={trans.__('The files that its stages name as outputs.')}
          value={value.outputs}
          onChange={outputs => change({ outputs })}
        />
      </>
    ),
    act: async ({ data, outputs }) => {
      const what = new URLSearchParams({ data: String(data), outputs: String(outputs) });
      const path = `${projectPath(slug, 'export')}?${what.toString()}`;
      const doing = trans.__('Exporting %1…', slug);
      const { file, headers } = await telling(doing, () => himalia.download(path));
      save(file, `${slug}.himalia.zip`);
      tellExported(slug, data ? Number(headers.get('X-Himalia-Left-Out') ?? 0) : 0, trans);
    }
  });
}

/** Ask where a project's folder is now. */
export async function moveProject(
  { himalia, trans }: Omit<IParts, 'app'>,
  slug: string
): Promise<void> {
  const known = himalia.projects?.find(project => project.slug === slug);
  await askAndAct({
    title: trans.__('Where is %1 now?', slug),
    accept: trans.__('It Is There'),
    initial: { path: known?.path ?? '' },
    trans,
    form: ({ value, change, faulty }) => (
      <TextField
        label={trans.__('Folder (absolute path)')}
        hint={trans.__(
          'Moved folders are found by themselves when they stay near; this is for the others.'
        )}
        faulty={faulty === 'path'}
        value={value.path}
        onChange={path => change({ path })}
      />
    ),
    act: async ({ path }) => {
      if (!path.trim().startsWith('/')) {
        throw new RequestError(422, pathFault(trans), '', 'path');
      }
      const moved = await himalia.request<Project>('PUT', projectPath(slug, 'path'), {
        path: path.trim()
      });
      tell('success', trans.__('%1 is known in %2 now.', slug, moved.path));
    }
  });
}

/** Show that something is being done which may take long. */
async function telling<T>(doing: string, act: () => Promise<T>): Promise<T> {
  const id = Notification.emit(doing, 'in-progress', { autoClose: false });
  try {
    return await act();
  } finally {
    Notification.dismiss(id);
  }
}

function save(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function tellExported(slug: string, left: number, trans: TranslationBundle): void {
  const told = trans.__(
    '%1 is exported, without secrets. On another site: Himalia → New Project… → File.',
    slug
  );
  if (left === 0) {
    Notification.success(told, { autoClose: 10_000 });
    return;
  }
  const out = trans._n(
    '%1 input is larger than 256 MiB and stayed out. With it: himalia project export %2 --limit MIB',
    '%1 inputs are larger than 256 MiB and stayed out. With them: himalia project export %2 --limit MIB',
    left,
    slug
  );
  Notification.warning(`${told} ${out}`, { autoClose: false });
}

function TextField(props: {
  label: string;
  hint: string;
  faulty: boolean;
  value: string;
  onChange: (value: string) => void;
}): React.ReactElement {
  const { label, hint, faulty, value, onChange } = props;
  return (
    <FormField label={label} hint={hint} faulty={faulty}>
      {(id, described) => (
        <input
          id={id}
          aria-describedby={described}
          className="jp-mod-styled"
          type="text"
          spellCheck={false}
          autoComplete="off"
          value={value}
          onChange={event => onChange(event.target.value)}
        />
      )}
    </FormField>
  );
}

function CheckField(props: {
  label: string;
  hint: string;
  value: boolean;
  onChange: (value: boolean) => void;
}): React.ReactElement {
  const { label, hint, value, onChange } = props;
  return (
    <label className="jp-Himalia-check">
      <input type="checkbox" checked={value} onChange={event => onChange(event.target.checked)} />
      <span>
        {label}
        <span className="jp-Himalia-muted">{hint}</span>
      </span>
    </label>
  );
}
