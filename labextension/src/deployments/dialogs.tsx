import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { may } from '../api/roles';
import { Deployment, Model } from '../api/types';
import { Select } from '../components';
import { FormField, IFormProps, askAndAct } from '../frame/ask';
import { CHAMPION, aliasUri, latestModels, modelUri, newestFirst } from '../models/versions';
import { IProjectStore } from '../tokens';
import { endpointName } from './names';

interface IDeployForm {
  model: string;
  /** `models:/…` of the chosen version or alias. */
  uri: string;
  name: string;
  /** The user has written the name; it does not follow the model any more. */
  named: boolean;
}

/**
 * Ask what to deploy where, and do it.
 *
 * @returns the endpoint's name; null when nothing was deployed
 */
export async function askForDeployment(
  store: IProjectStore,
  act: (body: { name: string; model: string }) => Promise<unknown>,
  trans: TranslationBundle,
  given: { name?: string; model?: string; failure?: unknown }
): Promise<string | null> {
  const models = latestModels(store.models.items ?? []).filter(model => model.versions.length > 0);
  if (models.length === 0) {
    await showDialog({
      title: trans.__('There is no model to deploy'),
      body: trans.__('Run the pipeline: a stage that trains a model registers it.'),
      buttons: [Dialog.okButton({ label: trans.__('Close') })]
    });
    return null;
  }
  const chosen =
    models.find(model => choices(model, trans).some(choice => choice.uri === given.model)) ??
    models[0];
  const direct = may(store.project.role, 'deployment.write');
  let made: string | null = null;
  await askAndAct<IDeployForm>({
    title: direct ? trans.__('Deploy a model') : trans.__('Ask for a deployment'),
    accept: direct ? trans.__('Deploy') : trans.__('Ask'),
    initial: {
      model: chosen.name,
      uri: given.model ?? choices(chosen, trans)[0].uri,
      name: given.name ?? endpointName(chosen.name),
      named: given.name !== undefined
    },
    trans,
    failure: given.failure,
    form: props => (
      <DeployForm
        {...props}
        models={models}
        deployments={store.deployments.items ?? []}
        direct={direct}
        trans={trans}
      />
    ),
    act: async ({ uri, name }) => {
      await act({ name: name.trim(), model: uri });
      made = name.trim();
    }
  });
  return made;
}

function DeployForm(
  props: IFormProps<IDeployForm> & {
    models: readonly Model[];
    deployments: readonly Deployment[];
    direct: boolean;
    trans: TranslationBundle;
  }
): React.ReactElement {
  const { value, change, faulty, models, deployments, direct, trans } = props;
  const model = models.find(item => item.name === value.model) ?? models[0];
  const there = deployments.find(item => item.name === value.name.trim());
  const choose = (name: string) => {
    const next = models.find(item => item.name === name) ?? models[0];
    change({
      model: next.name,
      uri: choices(next, trans)[0].uri,
      ...(!value.named && { name: endpointName(next.name) })
    });
  };
  const hint = there
    ? trans.__(
        'This endpoint answers with version %1 until the new one is ready.',
        there.model_version
      )
    : trans.__('Small letters, digits and -. It becomes part of the address.');
  return (
    <>
      <FormField label={trans.__('Model')}>
        {id => (
          <Select id={id} value={model.name} onChange={event => choose(event.target.value)}>
            {models.map(item => (
              <option key={item.name}>{item.name}</option>
            ))}
          </Select>
        )}
      </FormField>
      <FormField label={trans.__('Version')} faulty={faulty === 'model'}>
        {id => (
          <Select id={id} value={value.uri} onChange={event => change({ uri: event.target.value })}>
            {choices(model, trans).map(choice => (
              <option key={choice.uri} value={choice.uri}>
                {choice.label}
              </option>
            ))}
          </Select>
        )}
      </FormField>
      <FormField label={trans.__('Endpoint')} hint={hint} faulty={faulty === 'name'}>
        {(id, described) => (
          <input
            id={id}
            aria-describedby={described}
            className="jp-mod-styled"
            type="text"
            value={value.name}
            onChange={event => change({ name: event.target.value, named: true })}
          />
        )}
      </FormField>
      {!direct && (
        <p className="jp-Himalia-muted">
          {trans.__('Somebody who may deploy confirms it; until then nothing changes.')}
        </p>
      )}
    </>
  );
}

/** What of a model can be deployed: the champion, other aliases, then versions, the newest first. */
function choices(model: Model, trans: TranslationBundle): { uri: string; label: string }[] {
  const versions = newestFirst(model);
  const aliases = versions
    .flatMap(version => version.aliases.map(alias => ({ alias, version: version.version })))
    .sort((a, b) => Number(b.alias === CHAMPION) - Number(a.alias === CHAMPION));
  return [
    ...aliases.map(({ alias, version }) => ({
      uri: aliasUri(model.name, alias),
      label: trans.__('%1 (version %2)', alias, version)
    })),
    ...versions.map(({ version }) => ({
      uri: modelUri(model.name, version),
      label: trans.__('Version %1', version)
    }))
  ];
}

/** Ask whether an endpoint is to be deleted; names what breaks. */
export async function confirmDelete(
  deployment: Deployment,
  trans: TranslationBundle
): Promise<boolean> {
  const { button } = await showDialog({
    title: trans.__('Delete the endpoint %1?', deployment.name),
    body: (
      <div>
        <p>
          {trans.__('Applications that ask this address get no more answers, and its tokens end:')}
        </p>
        <p>
          <code>{deployment.url}</code>
        </p>
        <p>{trans.__('The model %1 and its versions stay.', deployment.model_name)}</p>
      </div>
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Delete') })
    ]
  });
  return button.accept;
}
