import { Dialog, showDialog } from '@jupyterlab/apputils';
import type * as nbformat from '@jupyterlab/nbformat';
import { Contents } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { at } from '../api/request';
import type { Parameter, Stage } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem, tell } from '../components';
import { environmentOf } from '../environments/question';
import { inProject } from '../frame/chosenNotebook';
import { askAndAct, FormField, IFormProps } from '../frame/ask';
import type { IProjectStore } from '../tokens';
import { editManifest } from './editing';
import { draftEdits, draftOf, IStageDraft, newDraft } from './stageDraft';
import type { IStartParts } from './start';
import { suggestFiles } from './suggest';

interface IDialogParts extends IStartParts {
  contents: Contents.IManager;
}

/** Ask what a new stage is to be, and write it into himalia.toml. *path*: the notebook, as the file browser names it. */
export async function addStage(
  parts: IDialogParts,
  store: IProjectStore,
  path: string
): Promise<boolean> {
  const { commands, contents, trans } = parts;
  const notebook = inProject(store, path);
  if (notebook === null) {
    tell(
      'warning',
      trans.__(
        '%1 lies outside of the project %2. Copy it into its folder first.',
        path,
        store.slug
      )
    );
    return false;
  }
  const there = store.project.stages.find(stage => stage.notebook === notebook);
  if (there) {
    return changeStage(parts, store, there);
  }
  const stages = store.project.stages;
  let draft: IStageDraft;
  try {
    const model = await contents.get(path, { type: 'notebook', content: true });
    const made = stages.flatMap(({ outputs }) => outputs);
    const found = suggestFiles(model.content as nbformat.INotebookContent, made);
    draft = newDraft(
      notebook,
      found,
      stages.map(({ name }) => name)
    );
  } catch (error) {
    notifyProblem(trans.__('%1 cannot be read.', path), error, trans);
    return false;
  }
  const done = await ask(parts, store, null, draft);
  if (done) {
    await commands.execute(CommandIDs.openPipeline);
  }
  return done;
}

/** Ask what a stage is to be from now on, and write it into himalia.toml. */
export function changeStage(
  parts: IDialogParts,
  store: IProjectStore,
  stage: Stage
): Promise<boolean> {
  return ask(parts, store, stage, draftOf(stage));
}

/** Take a stage out of himalia.toml; its notebook stays. */
export async function removeStage(
  parts: IStartParts,
  store: IProjectStore,
  name: string
): Promise<void> {
  const { himalia, trans } = parts;
  const later = store.project.stages.filter(stage => stage.waits_for.includes(name));
  const named = later.filter(({ settings }) =>
    (settings.after as string[] | undefined)?.includes(name)
  );
  const { button } = await showDialog({
    title: trans.__('Remove the stage %1 from the pipeline?', name),
    body: [
      trans.__('Its table in himalia.toml goes; its notebook, its files and its past runs stay.'),
      later.length > 0
        ? trans.__('%1 will not wait for it any more.', later.map(stage => stage.name).join(', '))
        : ''
    ].join(' '),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Remove') })
    ]
  });
  if (!button.accept) {
    return;
  }
  try {
    await editManifest(himalia, store.slug, [
      { op: 'remove', path: ['stages', name], value: null },
      ...named.map(stage => ({
        op: 'set' as const,
        path: ['stages', stage.name, 'after'],
        value: (stage.settings.after as string[]).filter(other => other !== name)
      }))
    ]);
  } catch (error) {
    notifyProblem(trans.__('The stage %1 is still there.', name), error, trans);
  }
}

async function ask(
  parts: IDialogParts,
  store: IProjectStore,
  stage: Stage | null,
  draft: IStageDraft
): Promise<boolean> {
  const { himalia, trans } = parts;
  const parameters = await readParameters(parts, store, draft.notebook);
  return askAndAct<IStageDraft>({
    title: stage ? trans.__('The stage %1', stage.name) : trans.__('New stage'),
    accept: stage ? trans.__('Save') : trans.__('Add the stage'),
    initial: draft,
    trans,
    form: props => (
      <StageForm {...props} store={store} stage={stage} parameters={parameters} trans={trans} />
    ),
    act: async value => {
      const edits = draftEdits(stage, value, trans);
      if (edits.length > 0) {
        await editManifest(himalia, store.slug, edits);
      }
    }
  });
}

/** What the notebook's cell of parameters names; nothing when it cannot be read now. */
async function readParameters(
  { himalia }: IDialogParts,
  store: IProjectStore,
  notebook: string
): Promise<Parameter[]> {
  const path = `${at('projects', store.slug, 'pipeline', 'parameters')}?notebook=${encodeURIComponent(notebook)}`;
  try {
    return await himalia.request<Parameter[]>('GET', path);
  } catch {
    return []; // only a help beside a field; saving tells what is wrong with the notebook
  }
}

interface IStageFormProps extends IFormProps<IStageDraft> {
  store: IProjectStore;
  stage: Stage | null;
  parameters: readonly Parameter[];
  trans: TranslationBundle;
}

function StageForm(props: IStageFormProps): React.ReactElement {
  const { value, change, faulty, store, stage, parameters, trans } = props;
  const others = store.project.stages.map(({ name }) => name).filter(name => name !== stage?.name);
  const line = (key: keyof IStageDraft, label: string, hint?: string) => (
    <FormField label={label} hint={hint} faulty={faulty.split('.').includes(key)}>
      {(id, described) => (
        <input
          id={id}
          aria-describedby={described}
          className="jp-mod-styled"
          type="text"
          spellCheck={false}
          autoComplete="off"
          value={value[key]}
          onChange={event => change({ [key]: event.target.value })}
        />
      )}
    </FormField>
  );
  const lines = (key: keyof IStageDraft, label: string, hint: string) => (
    <FormField label={label} hint={hint} faulty={faulty.split('.').includes(key)}>
      {(id, described) => (
        <textarea
          id={id}
          aria-describedby={described}
          className="jp-mod-styled"
          rows={Math.min(5, Math.max(2, value[key].split('\n').length))}
          spellCheck={false}
          value={value[key]}
          onKeyDown={event => event.key === 'Enter' && event.stopPropagation()}
          onChange={event => change({ [key]: event.target.value })}
        />
      )}
    </FormField>
  );
  const environments = environmentOf(store)?.others.map(other => other.name) ?? [];
  const known = parameters.map(({ name, default: text }) => `${name} = ${text}`).join(', ');
  const more = ['after', 'timeout', 'retries', 'cache', 'pool', 'cluster', 'environment'] as const;
  // at first alone: it does not fold while something is typed
  const [open] = React.useState(() =>
    more.some(key => value[key] !== '' || faulty.split('.').includes(key))
  );
  return (
    <>
      {line('name', trans.__('Name'), trans.__('Small letters, digits, - and _.'))}
      {line('notebook', trans.__('Notebook'))}
      {lines('inputs', trans.__('Inputs'), trans.__('Files that it reads, one a line.'))}
      {lines(
        'outputs',
        trans.__('Outputs'),
        trans.__('Files that it writes, one a line. Stages that read them run after it.')
      )}
      {lines(
        'params',
        trans.__('Parameters'),
        known
          ? trans.__('What is to differ, one a line. The notebook has: %1', known)
          : trans.__('One a line: seed = 7. They go into the cell that is tagged “parameters”.')
      )}
      <details open={open}>
        <summary>{trans.__('More')}</summary>
        {lines(
          'after',
          trans.__('Runs after'),
          others.length > 0
            ? trans.__(
                'Beyond those whose files it reads, one a line. There are: %1',
                others.join(', ')
              )
            : trans.__('There is no other stage yet.')
        )}
        {line(
          'timeout',
          trans.__('Longest time'),
          trans.__('For example 30m or 2h. Empty: no limit.')
        )}
        {line(
          'retries',
          trans.__('Retries'),
          trans.__('How often it is tried again after a fault of the machine.')
        )}
        {line(
          'cache',
          trans.__('Result from the cache'),
          trans.__('key (when nothing has changed), never, always, or a longest age such as 24h.')
        )}
        {line('pool', trans.__('Pool'), trans.__('Whose limit it counts towards.'))}
        {line('cluster', trans.__('Cluster'), trans.__('The Dask cluster that it runs on.'))}
        {line(
          'environment',
          trans.__('Environment'),
          environments.length > 0
            ? trans.__(
                '%1, or site for the site’s own packages. Empty: the project’s.',
                environments.join(', ')
              )
            : trans.__(
                'One of [environments] in himalia.toml, or site for the site’s own packages. Empty: the project’s.'
              )
        )}
      </details>
    </>
  );
}
