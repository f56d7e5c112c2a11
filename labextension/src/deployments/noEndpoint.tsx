import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { CommandIDs } from '../commands';
import { EmptyState } from '../components';
import { CHAMPION, aliasUri, holder, latestModels } from '../models/versions';
import { IProjectStore } from '../tokens';
import { endpointName } from './names';

interface INoEndpointProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** Why there is no endpoint yet, and the way to one: the champion is deployed, when there is one. */
export function NoEndpoint(props: INoEndpointProps): React.ReactElement {
  const { store, commands, trans } = props;
  const model = latestModels(store.models.items ?? []).find(item => holder(item, CHAMPION));
  if (!model) {
    return (
      <EmptyState
        text={trans.__('No endpoint yet. Make a model version the champion, then deploy it.')}
      />
    );
  }
  return (
    <EmptyState
      text={trans.__('No endpoint yet. An endpoint answers requests with a model version.')}
      action={{
        label: trans.__('Deploy the champion'),
        disabledReason: refusedBy(store.project.role, 'deployment.request', trans),
        onClick: () =>
          void commands.execute(CommandIDs.deploy, {
            name: endpointName(model.name),
            model: aliasUri(model.name, CHAMPION)
          })
      }}
    />
  );
}
