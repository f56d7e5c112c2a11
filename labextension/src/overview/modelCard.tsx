import * as React from 'react';

import { refusedBy } from '../api/roles';
import { Model, ModelVersion } from '../api/types';
import { CommandIDs } from '../commands';
import { ActionButton, Ago, EmptyState } from '../components';
import { Aliases } from '../models/aliases';
import { formatMetric, topMetrics } from '../models/metrics';
import { CHAMPION, holder, latestModels, newestFirst, versionFragment } from '../models/versions';
import { Card } from './card';
import { ICardProps } from './cards';

/** The champion of the newest model, with its score. */
export function ModelCard(props: ICardProps): React.ReactElement {
  const { store, trans } = props;
  const empty = (
    <EmptyState
      text={
        store.tracking === 'starting'
          ? trans.__('MLflow, which keeps the models, is starting.')
          : trans.__(
              'No model yet. A stage that trains one registers it, and its score appears here.'
            )
      }
    />
  );
  return (
    <Card title={trans.__('Model')} slice={store.models} empty={empty} trans={trans}>
      {items => {
        const model = latestModels(items).find(item => item.versions.length > 0);
        return model ? <Champion {...props} model={model} more={items.length - 1} /> : empty;
      }}
    </Card>
  );
}

function Champion(props: ICardProps & { model: Model; more: number }): React.ReactElement {
  const { model, more, commands, trans } = props;
  const champion = holder(model, CHAMPION);
  const version = champion ?? newestFirst(model)[0];
  return (
    <>
      <div className="jp-Himalia-rows">
        <div className="jp-Himalia-modelHead">
          <span className="jp-Himalia-rowText">
            <span className="jp-Himalia-modelName">
              <strong>{model.name}</strong>
              <span>{trans.__('version %1', version.version)}</span>
              <Aliases aliases={version.aliases} trans={trans} />
            </span>
            <span className="jp-Himalia-muted">
              <Ago at={version.created_at} trans={trans} />
              {more > 0 && ` · ${trans._n('%1 more model', '%1 more models', more)}`}
            </span>
          </span>
          <ActionButton
            label={trans.__('In MLflow')}
            onClick={() =>
              void commands.execute(CommandIDs.openMlflow, {
                fragment: versionFragment(model.name, version.version)
              })
            }
          />
        </div>
      </div>
      <Score version={version} trans={props.trans} />
      {!champion && <NoChampion {...props} version={version} />}
    </>
  );
}

function Score(props: { version: ModelVersion; trans: ICardProps['trans'] }): React.ReactElement {
  const metrics = topMetrics(props.version.metrics);
  if (metrics.length === 0) {
    return <p className="jp-Himalia-muted">{props.trans.__('Its run recorded no metrics.')}</p>;
  }
  return (
    <dl className="jp-Himalia-metrics">
      {metrics.map((metric, index) => (
        <div key={metric.name} className={index === 0 ? 'jp-mod-main' : undefined}>
          <dt title={metric.name}>{metric.name}</dt>
          <dd title={String(metric.value)}>{formatMetric(metric.value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function NoChampion(
  props: ICardProps & { model: Model; version: ModelVersion }
): React.ReactElement {
  const { store, commands, model, version, trans } = props;
  return (
    <EmptyState
      text={trans.__('No version is the champion yet.')}
      action={{
        label: trans.__('Make version %1 the champion', version.version),
        disabledReason: refusedBy(store.project.role, 'model.alias', trans),
        onClick: () =>
          void commands.execute(CommandIDs.setAlias, {
            model: model.name,
            version: version.version,
            alias: CHAMPION
          })
      }}
    />
  );
}
