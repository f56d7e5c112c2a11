import { TranslationBundle } from '@jupyterlab/translation';
import { closeIcon, LabIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { Cluster } from '../api/types';
import { CommandIDs } from '../commands';
import { EmptyState, IconButton, ProblemMessage, StateDot } from '../components';
import { dashboardIcon, scaleIcon } from '../frame/icons';
import { IProjectStore } from '../tokens';
import { clusterFacts } from './facts';
import { suggestName } from './names';

interface ISectionProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The clusters of the open project. */
export default function ClusterSection(props: ISectionProps): React.ReactElement {
  const { store, commands, trans } = props;
  const { items, problem } = store.clusters;
  if (items === null) {
    return problem ? (
      <ProblemMessage problem={problem} trans={trans} />
    ) : (
      <p className="jp-Himalia-muted">{trans.__('Loading…')}</p>
    );
  }
  if (items.length === 0) {
    const name = suggestName(store.project, items);
    return (
      <EmptyState
        text={trans.__(
          'No cluster runs. Stages and notebooks that want one compute on it in parallel.'
        )}
        action={{
          label: trans.__('Start the cluster %1', name),
          onClick: () => void commands.execute(CommandIDs.startCluster, { name }),
          disabledReason: refusedBy(store.project.role, 'cluster.write', trans)
        }}
      />
    );
  }
  return (
    <ul className="jp-Himalia-items" role="list">
      {items.map(cluster => (
        <ClusterRow key={cluster.name} cluster={cluster} {...props} />
      ))}
    </ul>
  );
}

function ClusterRow(props: ISectionProps & { cluster: Cluster }): React.ReactElement {
  const { cluster, store, commands, trans } = props;
  const refused = refusedBy(store.project.role, 'cluster.write', trans);
  const stopped = cluster.state === 'running' ? undefined : trans.__('The cluster does not run.');
  const button = (label: string, icon: LabIcon, command: string, reason?: string) => (
    <IconButton
      label={label}
      icon={icon}
      disabledReason={reason}
      onClick={() => void commands.execute(command, { name: cluster.name })}
    />
  );
  return (
    <li className="jp-Himalia-item">
      <div className="jp-Himalia-itemHead">
        <StateDot state={cluster.state} steady compact trans={trans} />
        <span className="jp-Himalia-itemName" title={cluster.name}>
          {cluster.name}
        </span>
        <span className="jp-Himalia-itemActions">
          {button(
            trans.__('Dashboard of %1', cluster.name),
            dashboardIcon,
            CommandIDs.openDashboard,
            stopped
          )}
          {button(
            trans.__('Scale %1', cluster.name),
            scaleIcon,
            CommandIDs.scaleCluster,
            refused ?? stopped
          )}
          {button(trans.__('Stop %1', cluster.name), closeIcon, CommandIDs.stopCluster, refused)}
        </span>
      </div>
      <div className="jp-Himalia-itemFacts">{clusterFacts(cluster, trans)}</div>
      {cluster.error && <div className="jp-Himalia-itemError">{cluster.error}</div>}
    </li>
  );
}
