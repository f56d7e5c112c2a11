import { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import { RequestError } from '../api/request';
import { toProblem } from '../api/problem';
import type { Project, Template } from '../api/types';
import { ProblemMessage, SubmitDialog, useSignal } from '../components';
import type { IHimalia, IProblem } from '../tokens';
import { freeName, nameFault } from './names';

/** What a new project is made from. */
export interface IProjectDraft {
  name: string;
  template: string;
  /** Make it from this folder instead. */
  path: string;
  source: 'template' | 'folder';
}

/** The state of the form. Its buttons belong to the dialog, so that it lives outside of React. */
class Form {
  busy = false;
  fieldFault: { field: string; text: string } | null = null;
  problem: IProblem | null = null;
  readonly changed = new Signal<this, void>(this);

  constructor(
    public draft: IProjectDraft,
    readonly taken: readonly string[],
    readonly templates: readonly Template[],
    readonly trans: TranslationBundle
  ) {}

  set(change: Partial<IProjectDraft>): void {
    this.draft = { ...this.draft, ...change };
    this.fieldFault = null;
    this.problem = null;
    this.changed.emit();
  }

  /** Why it cannot be sent. */
  check(): boolean {
    const { name, path, source } = this.draft;
    const fault = nameFault(name, this.taken, this.trans);
    if (fault) {
      this.fieldFault = { field: 'name', text: fault };
    } else if (source === 'folder' && !path.trim()) {
      this.fieldFault = { field: 'path', text: this.trans.__('Name the folder.') };
    }
    this.changed.emit();
    return this.fieldFault === null;
  }

  refused(error: unknown): void {
    const problem = toProblem(error, this.trans);
    const field = error instanceof RequestError ? error.field : '';
    if (['name', 'path', 'template'].includes(field)) {
      const text = [problem.message, problem.hint].filter(Boolean).join(' ');
      this.fieldFault = { field, text };
    } else {
      this.problem = problem;
    }
  }
}

/**
 * Ask for a new project and make it.
 *
 * @returns the project; null when the user gave up
 */
export async function makeProject(
  himalia: IHimalia,
  trans: TranslationBundle,
  wish: Partial<IProjectDraft> = {},
  problem: IProblem | null = null
): Promise<Project | null> {
  const { items } = await himalia.request<{ items: Template[] }>('GET', 'templates');
  const taken = (himalia.projects ?? []).map(({ slug }) => slug);
  const template = wish.template ?? items.find(({ available }) => available)?.name ?? '';
  const name = wish.name ?? freeName('my-project', taken);
  const draft = { name, template, path: '', source: 'template' as const, ...wish };
  const form = new Form(draft, taken, items, trans);
  form.problem = problem;
  let made: Project | null = null;
  const dialog = new SubmitDialog(
    {
      title: trans.__('New project'),
      body: <FormView form={form} />,
      label: trans.__('Create'),
      trans
    },
    async () => {
      made = form.check() ? await create(form, himalia) : null;
      return made !== null;
    }
  );
  await dialog.launch();
  return made;
}

/** Have it made; null when the service refused, which the form then tells. */
async function create(form: Form, himalia: IHimalia): Promise<Project | null> {
  const { name, path, source, template } = form.draft;
  form.busy = true;
  form.changed.emit();
  try {
    const body = source === 'folder' ? { name, path: path.trim() } : { name, template };
    return await himalia.request<Project>('POST', 'projects', body);
  } catch (error) {
    form.refused(error);
    return null;
  } finally {
    form.busy = false;
    form.changed.emit();
  }
}

function FormView(props: { form: Form }): React.ReactElement {
  const { form } = props;
  const { draft, trans, fieldFault } = form;
  useSignal(form.changed);
  const fault = (field: string) => (fieldFault?.field === field ? fieldFault.text : null);
  return (
    <div className="jp-Himalia-entry" aria-busy={form.busy}>
      <Field label={trans.__('Name')} fault={fault('name')} id="jp-Himalia-project-name">
        <input
          type="text"
          className="jp-mod-styled"
          value={draft.name}
          spellCheck={false}
          autoComplete="off"
          onFocus={event => event.target.select()}
          onChange={event => form.set({ name: event.target.value })}
          onBlur={() => draft.name && form.check()}
        />
      </Field>
      <fieldset>
        <legend>{trans.__('Make it from')}</legend>
        {form.templates.map(template => (
          <TemplateChoice key={template.name} template={template} form={form} />
        ))}
        <Choice
          checked={draft.source === 'folder'}
          label={trans.__('A folder that exists')}
          text={trans.__('It needs a himalia.toml.')}
          onChoose={() => form.set({ source: 'folder' })}
        />
      </fieldset>
      {draft.source === 'folder' && (
        <Field
          label={trans.__('Folder (absolute path)')}
          fault={fault('path')}
          id="jp-Himalia-project-path"
        >
          <input
            type="text"
            className="jp-mod-styled"
            value={draft.path}
            spellCheck={false}
            onChange={event => form.set({ path: event.target.value })}
          />
        </Field>
      )}
      {fault('template') && <p className="jp-Himalia-fault">{fault('template')}</p>}
      {form.problem && <ProblemMessage problem={form.problem} trans={trans} />}
      <p role="status" className="jp-Himalia-muted">
        {form.busy ? trans.__('Creating %1…', draft.name) : ''}
      </p>
    </div>
  );
}

function Field(props: {
  label: string;
  id: string;
  fault: string | null;
  children: React.ReactElement<React.InputHTMLAttributes<HTMLInputElement>>;
}): React.ReactElement {
  const { label, id, fault, children } = props;
  return (
    <div className="jp-Himalia-field">
      <label htmlFor={id}>{label}</label>
      {React.cloneElement(children, {
        id,
        'aria-invalid': fault !== null,
        'aria-describedby': fault === null ? undefined : `${id}-fault`
      })}
      {fault !== null && (
        <p className="jp-Himalia-fault" id={`${id}-fault`} role="alert">
          {fault}
        </p>
      )}
    </div>
  );
}

function TemplateChoice(props: { template: Template; form: Form }): React.ReactElement {
  const { template, form } = props;
  const { source, template: chosen } = form.draft;
  return (
    <Choice
      checked={source === 'template' && chosen === template.name}
      disabled={!template.available}
      label={template.title}
      text={template.available ? template.description : (template.problem ?? '')}
      onChoose={() => form.set({ source: 'template', template: template.name })}
    />
  );
}

function Choice(props: {
  checked: boolean;
  disabled?: boolean;
  label: string;
  text: string;
  onChoose: () => void;
}): React.ReactElement {
  return (
    <label className={`jp-Himalia-choice${props.disabled ? ' jp-mod-disabled' : ''}`}>
      <input
        type="radio"
        name="jp-Himalia-template"
        checked={props.checked}
        disabled={props.disabled}
        onChange={props.onChoose}
      />
      <span>
        <span className="jp-Himalia-choiceName">{props.label}</span>
        <span className="jp-Himalia-muted">{props.text}</span>
      </span>
    </label>
  );
}
