import { TranslationBundle } from '@jupyterlab/translation';
import { deleteIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { Deployment } from '../api/types';
import { CommandIDs } from '../commands';
import { ActionButton, IconButton, ProblemMessage, StateDot } from '../components';
import { endpointIcon } from '../frame/icons';
import { IProjectStore } from '../tokens';
import { NoEndpoint } from './noEndpoint';

interface ISectionProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The endpoints of the open project. */
export default function DeploymentSection(props: ISectionProps): React.ReactElement {
  const { store, trans } = props;
  const { items, problem } = store.deployments;
  if (items === null) {
    return problem ? (
      <ProblemMessage problem={problem} trans={trans} />
    ) : (
      <p className="jp-Himalia-muted">{trans.__('Loading…')}</p>
    );
  }
  if (items.length === 0) {
    return <NoEndpoint {...props} />;
  }
  return (
    <ul className="jp-Himalia-items" role="list">
      {items.map(deployment => (
        <DeploymentRow key={deployment.name} deployment={deployment} {...props} />
      ))}
    </ul>
  );
}

function DeploymentRow(props: ISectionProps & { deployment: Deployment }): React.ReactElement {
  const { deployment, store, commands, trans } = props;
  const { name } = deployment;
  const open = () => void commands.execute(CommandIDs.openDeployment, { name });
  return (
    <li className="jp-Himalia-item">
      <div className="jp-Himalia-itemHead">
        <StateDot state={deployment.state} compact trans={trans} />
        <button
          type="button"
          className="jp-Himalia-itemName"
          title={trans.__('Open the endpoint %1', name)}
          onClick={open}
        >
          {name}
        </button>
        <span className="jp-Himalia-itemActions">
          <IconButton label={trans.__('Try %1', name)} icon={endpointIcon} onClick={open} />
          <IconButton
            label={trans.__('Delete %1', name)}
            icon={deleteIcon}
            disabledReason={refusedBy(store.project.role, 'deployment.write', trans)}
            onClick={() => void commands.execute(CommandIDs.deleteDeployment, { name })}
          />
        </span>
      </div>
      <div className="jp-Himalia-itemFacts">
        {trans.__('%1 version %2', deployment.model_name, deployment.model_version)}
      </div>
      {deployment.error && <div className="jp-Himalia-itemError">{deployment.error}</div>}
      {deployment.requested_version && (
        <div className="jp-Himalia-itemRequest">
          <span>{trans.__('Version %1 waits', deployment.requested_version)}</span>
          <ActionButton
            label={trans.__('Confirm')}
            primary
            disabledReason={refusedBy(store.project.role, 'deployment.write', trans)}
            onClick={() =>
              void commands.execute(CommandIDs.confirmDeployment, {
                name,
                version: deployment.requested_version
              })
            }
          />
        </div>
      )}
    </li>
  );
}
