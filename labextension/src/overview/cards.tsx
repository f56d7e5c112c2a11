import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { CommandIDs } from '../commands';
import { ActionButton, EmptyState, StateDot } from '../components';
import { clusterFacts } from '../clusters/facts';
import { suggestName } from '../clusters/names';
import { NoEndpoint } from '../deployments/noEndpoint';
import { IProjectStore } from '../tokens';
import { Card } from './card';
import { ModelCard } from './modelCard';
import { RunsCard } from './runsCard';

/** Properties of every card. */
export interface ICardProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** What the project has led to, a card each. */
export function Cards(props: ICardProps): React.ReactElement {
  return (
    <div className="jp-Himalia-cards">
      <ModelCard {...props} />
      <EndpointsCard {...props} />
      <RunsCard {...props} />
      <div className="jp-Himalia-cardStack">
        <ClustersCard {...props} />
        <TrackingCard {...props} />
      </div>
    </div>
  );
}

function EndpointsCard(props: ICardProps): React.ReactElement {
  const { store, commands, trans } = props;
  const empty = <NoEndpoint {...props} />;
  return (
    <Card title={trans.__('Endpoints')} slice={store.deployments} empty={empty} trans={trans}>
      {items => (
        <ul className="jp-Himalia-rows" role="list">
          {items.map(item => (
            <li key={item.name}>
              <span className="jp-Himalia-rowText">
                <strong>{item.name}</strong>
                <span className="jp-Himalia-muted">
                  {trans.__('%1 version %2', item.model_name, item.model_version)}
                </span>
                {item.error && <span>{item.error}</span>}
              </span>
              <StateDot state={item.state} trans={trans} />
              <ActionButton
                label={item.state === 'ready' ? trans.__('Try it') : trans.__('Open')}
                onClick={() =>
                  void commands.execute(CommandIDs.openDeployment, { name: item.name })
                }
              />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function ClustersCard(props: ICardProps): React.ReactElement {
  const { store, commands, trans } = props;
  const name = suggestName(store.project, store.clusters.items ?? []);
  const empty = (
    <EmptyState
      text={trans.__('No cluster runs. Stages that want one compute on it in parallel.')}
      action={{
        label: trans.__('Start the cluster %1', name),
        disabledReason: refusedBy(store.project.role, 'cluster.write', trans),
        onClick: () => void commands.execute(CommandIDs.startCluster, { name })
      }}
    />
  );
  return (
    <Card title={trans.__('Clusters')} slice={store.clusters} empty={empty} trans={trans}>
      {items => (
        <ul className="jp-Himalia-rows" role="list">
          {items.map(cluster => (
            <li key={cluster.name}>
              <span className="jp-Himalia-rowText">
                <strong>{cluster.name}</strong>
                <span className="jp-Himalia-muted">{clusterFacts(cluster, trans)}</span>
                {cluster.error && <span>{cluster.error}</span>}
              </span>
              <StateDot state={cluster.state} steady trans={trans} />
              <ActionButton
                label={trans.__('Dashboard')}
                disabledReason={
                  cluster.state === 'running' ? undefined : trans.__('The cluster does not run.')
                }
                onClick={() =>
                  void commands.execute(CommandIDs.openDashboard, { name: cluster.name })
                }
              />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function TrackingCard(props: ICardProps): React.ReactElement {
  const { store, commands, trans } = props;
  const running = store.tracking === 'running';
  return (
    <section className="jp-Himalia-card">
      <h2>{trans.__('Tracking')}</h2>
      <ul className="jp-Himalia-rows" role="list">
        <li>
          <span className="jp-Himalia-rowText">
            <strong>{trans.__('MLflow')}</strong>
            <span className="jp-Himalia-muted">
              {running
                ? trans.__('Parameters, metrics and figures of each run.')
                : trans.__('It is started, which takes some seconds.')}
            </span>
          </span>
          <StateDot state={store.tracking} steady trans={trans} />
          <ActionButton
            label={trans.__('Open MLflow')}
            onClick={() => void commands.execute(CommandIDs.openMlflow)}
          />
        </li>
      </ul>
    </section>
  );
}
