import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { ComponentPublish, ProjectComponents } from '../api/types';
import { askAndAct, FormField, IFormProps } from '../frame/ask';
import type { IProjectStore } from '../tokens';
import { COMPONENTS } from './question';
import { nextVersion } from './versions';

interface IDraft {
  name: string;
  version: string;
  module: string;
  note: string;
}

/** Ask for what to publish, and publish it. */
export async function askForComponent(
  store: IProjectStore,
  name: string | null,
  trans: TranslationBundle,
  act: (body: ComponentPublish) => Promise<void>
): Promise<boolean> {
  const known = store.part<ProjectComponents>(COMPONENTS).value?.publishes ?? [];
  const before = known.find(component => component.name === name) ?? known[0];
  return askAndAct<IDraft>({
    title: trans.__('Publish a component'),
    accept: trans.__('Publish'),
    initial: {
      name: before ? before.name.replace(/^.*\//, '') : '',
      version: before ? nextVersion(before.newest) : '1.0',
      module: '',
      note: ''
    },
    trans,
    form: props => <PublishForm {...props} slug={store.slug} trans={trans} />,
    act: ({ module, ...draft }) => act({ ...draft, module: module.trim() || null })
  });
}

function PublishForm(
  props: IFormProps<IDraft> & { slug: string; trans: TranslationBundle }
): React.ReactElement {
  const { value, change, faulty, slug, trans } = props;
  const field = (key: keyof IDraft, label: string, hint: string) => (
    <FormField label={label} hint={hint} faulty={faulty === key}>
      {(id, described) => (
        <input
          id={id}
          aria-describedby={described}
          className="jp-mod-styled"
          type="text"
          spellCheck={key === 'note'}
          autoComplete="off"
          value={value[key]}
          onChange={event => change({ [key]: event.target.value })}
        />
      )}
    </FormField>
  );
  return (
    <>
      <p className="jp-Himalia-muted">
        {trans.__(
          'A copy of this project’s src/ that never changes. Other projects import its modules without installing anything.'
        )}
      </p>
      {field('name', trans.__('Name'), trans.__('Others write %1/NAME@VERSION.', slug))}
      {field('version', trans.__('Version'), trans.__('For example 1.2. A version is given once.'))}
      {field(
        'module',
        trans.__('Module'),
        trans.__('Only this module or package of src/. Empty: all of it.')
      )}
      {field('note', trans.__('What is new'), trans.__('Shown to those who use it.'))}
    </>
  );
}
