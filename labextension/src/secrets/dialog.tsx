import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { askAndAct, FormField, IFormProps } from '../frame/ask';

/** What the dialog asks for. */
export interface ISecretDraft {
  name: string;
  value: string;
}

/**
 * Ask for a secret, and set it.
 *
 * @param known - the name of the secret that gets another value; null for a new one
 */
export async function askForSecret(
  known: string | null,
  trans: TranslationBundle,
  act: (draft: ISecretDraft) => Promise<void>
): Promise<boolean> {
  return askAndAct<ISecretDraft>({
    title: known === null ? trans.__('Set a secret') : trans.__('Set %1 anew', known),
    accept: trans.__('Set'),
    initial: { name: known ?? '', value: '' },
    trans,
    form: props => <SecretForm {...props} known={known} trans={trans} />,
    act
  });
}

function SecretForm(
  props: IFormProps<ISecretDraft> & { known: string | null; trans: TranslationBundle }
): React.ReactElement {
  const { value, change, faulty, known, trans } = props;
  return (
    <>
      {known === null && (
        <FormField
          label={trans.__('Name')}
          hint={trans.__('The variable in kernels and stages, for example WEATHER_API_KEY.')}
          faulty={faulty === 'name'}
        >
          {(id, described) => (
            <input
              id={id}
              aria-describedby={described}
              className="jp-mod-styled"
              type="text"
              spellCheck={false}
              autoComplete="off"
              value={value.name}
              onChange={event => change({ name: event.target.value })}
            />
          )}
        </FormField>
      )}
      <FormField
        label={trans.__('Value')}
        hint={trans.__(
          'Kept encrypted, and never shown again: not here, not in runs, logs or exports.'
        )}
        faulty={faulty === 'value'}
      >
        {(id, described) => (
          <input
            id={id}
            aria-describedby={described}
            className="jp-mod-styled"
            type="password"
            autoComplete="new-password"
            value={value.value}
            onChange={event => change({ value: event.target.value })}
          />
        )}
      </FormField>
    </>
  );
}
