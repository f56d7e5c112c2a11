import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { RequestError } from '../api/request';
import type { Located, Project, Template } from '../api/types';
import { ProblemMessage, SubmitDialog, tell, useSignal } from '../components';
import type { IHimalia, IProblem, IProgress } from '../tokens';
import { followInBackground } from './background';
import type { IProjectCommandParts } from './commands';
import { Field } from './formField';
import { Library } from './library';
import { importPath } from './life';
import { freeName } from './names';
import { IProjectDraft, ProjectForm, Source } from './projectForm';
import { ADD_CLASS, TemplateList } from './templateList';

/**
 * Ask for a new project and make it.
 *
 * @returns the project; null when the user gave up, or did not wait for it: it goes on then, and is told of
 */
export async function makeProject(
  parts: Pick<IProjectCommandParts, 'app' | 'himalia' | 'trans'>,
  wish: Partial<IProjectDraft> = {},
  problem: IProblem | null = null,
  again: (draft: IProjectDraft, problem: IProblem) => void = () => undefined
): Promise<Project | null> {
  const { himalia, trans } = parts;
  const { items } = await himalia.request<{ items: Template[] }>('GET', 'templates');
  const taken = (himalia.projects ?? []).map(({ slug }) => slug);
  const template = wish.template ?? items.find(({ available }) => available)?.name ?? '';
  const name = wish.name ?? freeName('my-project', taken);
  const nothing = { path: '', git: '', file: null };
  const draft = { name, template, ...nothing, source: 'template' as const, ...wish };
  const form = new ProjectForm(draft, taken, items, trans);
  form.problem = problem;
  const library = new Library(form, himalia);
  const state: { made: Project | null; making: Promise<Project> | null } = {
    made: null,
    making: null
  };
  const dialog = new SubmitDialog(
    {
      title: trans.__('New project'),
      body: <FormView form={form} library={library} />,
      label: trans.__('Create'),
      leave: trans.__('Go On in the Background'),
      trans
    },
    async () => {
      if (document.activeElement?.closest(`.${ADD_CLASS}`)) {
        await library.add();
        return false;
      }
      if (!form.check()) {
        return false;
      }
      form.setBusy(true);
      state.making = create(form.draft, himalia, trans, progress => form.advance(progress));
      try {
        state.made = await state.making;
      } catch (error) {
        form.refused(error);
      }
      state.making = null;
      form.setBusy(false);
      return state.made !== null;
    }
  );
  await dialog.launch();
  if (state.making !== null) {
    void followInBackground(parts, form, state.making, again);
  }
  return state.made;
}

/** Have it made. */
async function create(
  draft: IProjectDraft,
  himalia: IHimalia,
  trans: TranslationBundle,
  told: (progress: IProgress) => void
): Promise<Project> {
  const { name, path, git, file, source, template } = draft;
  switch (source) {
    case 'file':
      return himalia.upload<Project>(importPath(name), file!);
    case 'folder': {
      const folder = path.trim();
      return (
        (await known(folder, himalia, trans)) ??
        himalia.request<Project>('POST', 'projects', { name, path: folder })
      );
    }
    case 'git':
      return himalia.request<Project>('POST', 'projects', { name, git: git.trim() }, told);
    case 'template':
      return himalia.request<Project>('POST', 'projects', { name, template }, told);
  }
}

/** The project whose folder it is already, moved or not; null when it can become one. */
async function known(
  path: string,
  himalia: IHimalia,
  trans: TranslationBundle
): Promise<Project | null> {
  const located = await himalia.request<Located>('POST', 'project-locations', { path });
  const { state, project, message } = located;
  if (project === null || state === 'copy' || state === 'unknown') {
    return null;
  }
  if (project.archived_at !== null) {
    const hint = trans.__('Bring it back: Himalia → All Projects → Archived.');
    throw new RequestError(409, message, hint, 'path');
  }
  tell('info', message);
  return project;
}

interface IFormViewProps {
  form: ProjectForm;
  library: Library;
}

function FormView(props: IFormViewProps): React.ReactElement {
  const { form } = props;
  const { draft, trans } = form;
  useSignal(form.changed);
  const fault = faultOf(form);
  return (
    <div className="jp-Himalia-entry" aria-busy={form.busy}>
      <Sources form={form} />
      <Field label={trans.__('Name')} fault={fault('name')} id="jp-Himalia-project-name">
        <input
          type="text"
          className="jp-mod-styled"
          value={draft.name}
          spellCheck={false}
          autoComplete="off"
          onFocus={event => event.target.select()}
          onChange={event => form.set({ name: event.target.value })}
          onBlur={() => draft.name && form.checkName()}
        />
      </Field>
      {draft.source === 'template' ? <TemplateList {...props} /> : <Origin form={form} />}
      {fault('template') && <p className="jp-Himalia-fault">{fault('template')}</p>}
      {form.problem && <ProblemMessage problem={form.problem} trans={trans} />}
      <Doing form={form} />
    </div>
  );
}

/** How far it is. */
function Doing({ form }: { form: ProjectForm }): React.ReactElement {
  const { busy, draft, progress, doing, trans } = form;
  const long = draft.source === 'git' || draft.source === 'file';
  return (
    <div className="jp-Himalia-doing">
      <p role="status" className="jp-Himalia-muted">
        {busy ? doing : ''}
      </p>
      {busy && long && (
        <>
          <progress
            aria-label={trans.__('Progress of %1', draft.name)}
            max={100}
            value={progress?.percent ?? undefined}
          />
          <p className="jp-Himalia-muted">
            {trans.__('It goes on when this is closed, and you are told when it is there.')}
          </p>
        </>
      )}
    </div>
  );
}

function faultOf({ fieldFault }: ProjectForm): (field: string) => string | null {
  return field => (fieldFault?.field === field ? fieldFault.text : null);
}

/** Where it comes from. */
function Sources({ form }: { form: ProjectForm }): React.ReactElement {
  const { draft, trans } = form;
  const sources: [Source, string][] = [
    ['template', trans.__('Template')],
    ['folder', trans.__('Folder')],
    ['git', trans.__('Git repository')],
    ['file', trans.__('File')]
  ];
  return (
    <div className="jp-Himalia-segments" role="group" aria-label={trans.__('Make it from')}>
      {sources.map(([source, label]) => (
        <button
          key={source}
          type="button"
          aria-pressed={draft.source === source}
          onClick={() => form.set({ source })}
        >
          {label}
        </button>
      ))}
    </div>
  );
}

/** The folder, the repository or the file. */
function Origin({ form }: { form: ProjectForm }): React.ReactElement {
  const { draft, trans } = form;
  const fault = faultOf(form);
  if (draft.source === 'file') {
    return (
      <Field
        label={trans.__('Exported project')}
        fault={fault('file')}
        id="jp-Himalia-project-file"
      >
        <input
          type="file"
          accept=".zip"
          onChange={event => form.set({ file: event.target.files?.[0] ?? null })}
        />
      </Field>
    );
  }
  const [field, label, hint]: ['git' | 'path', string, string] =
    draft.source === 'git'
      ? [
          'git',
          trans.__('Address of the repository'),
          trans.__(
            'https or ssh, or a folder on this machine. Passwords belong into git, not here.'
          )
        ]
      : [
          'path',
          trans.__('Folder (absolute path)'),
          trans.__('It stays where it is. Without a himalia.toml it gets a small one.')
        ];
  return (
    <>
      <Field label={label} fault={fault(field)} id={`jp-Himalia-project-${field}`}>
        <input
          type="text"
          className="jp-mod-styled"
          value={draft[field]}
          spellCheck={false}
          autoComplete="off"
          onChange={event => form.set({ [field]: event.target.value })}
        />
      </Field>
      <p className="jp-Himalia-muted">{hint}</p>
    </>
  );
}
