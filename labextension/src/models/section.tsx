import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { Model, ModelVersion } from '../api/types';
import { CommandIDs } from '../commands';
import { Ago, EmptyState, IconButton, ProblemMessage } from '../components';
import { championIcon, deployIcon, trackingIcon } from '../frame/icons';
import { IProjectStore } from '../tokens';
import { Aliases } from './aliases';
import { formatMetric, mainMetric } from './metrics';
import {
  CHAMPION,
  aliasUri,
  latestModels,
  modelUri,
  newestFirst,
  versionFragment
} from './versions';

/** Versions of a model that are shown before the rest is asked for. */
const SHOWN = 3;

interface ISectionProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The registered models of the open project. */
export default function ModelSection(props: ISectionProps): React.ReactElement {
  const { store, trans } = props;
  const { items, problem } = store.models;
  if (items === null) {
    return problem ? (
      <ProblemMessage problem={problem} trans={trans} />
    ) : (
      <p className="jp-Himalia-muted">
        {store.tracking === 'starting' ? trans.__('MLflow is starting…') : trans.__('Loading…')}
      </p>
    );
  }
  if (items.length === 0) {
    return (
      <EmptyState
        text={trans.__('No model yet. A stage that trains one registers it, and it appears here.')}
      />
    );
  }
  return (
    <ul className="jp-Himalia-items" role="list">
      {latestModels(items).map(model => (
        <ModelRow key={model.name} model={model} {...props} />
      ))}
    </ul>
  );
}

function ModelRow(props: ISectionProps & { model: Model }): React.ReactElement {
  const { model, commands, trans } = props;
  const [all, setAll] = React.useState(false);
  const versions = newestFirst(model);
  const shown = all
    ? versions
    : versions.filter((version, index) => index < SHOWN || version.aliases.length > 0);
  const open = (version?: string) =>
    void commands.execute(CommandIDs.openMlflow, {
      fragment: versionFragment(model.name, version)
    });
  return (
    <li className="jp-Himalia-item">
      <div className="jp-Himalia-itemHead">
        <button
          type="button"
          className="jp-Himalia-itemName jp-mod-strong"
          title={trans.__('Open %1 in MLflow', model.name)}
          onClick={() => open()}
        >
          {model.name}
        </button>
      </div>
      <ul
        className="jp-Himalia-items"
        role="list"
        aria-label={trans.__('Versions of %1', model.name)}
      >
        {shown.map(version => (
          <VersionRow key={version.version} version={version} {...props} />
        ))}
      </ul>
      {shown.length < versions.length && (
        <button type="button" className="jp-Himalia-link" onClick={() => setAll(true)}>
          {trans.__('All %1 versions', versions.length)}
        </button>
      )}
    </li>
  );
}

function VersionRow(
  props: ISectionProps & { model: Model; version: ModelVersion }
): React.ReactElement {
  const { model, version, store, commands, trans } = props;
  const { role } = store.project;
  const metric = mainMetric(version.metrics);
  const isChampion = version.aliases.includes(CHAMPION);
  const uri = isChampion ? aliasUri(model.name, CHAMPION) : modelUri(model.name, version.version);
  return (
    <li className="jp-Himalia-version">
      <span className="jp-Himalia-versionText">
        <span className="jp-Himalia-versionLine">
          <span>{trans.__('Version %1', version.version)}</span>
          <Aliases aliases={version.aliases} trans={trans} />
        </span>
        <span className="jp-Himalia-versionFacts">
          {metric && (
            <span>
              {metric.name} {formatMetric(metric.value)}
            </span>
          )}
          <Ago at={version.created_at} trans={trans} />
        </span>
      </span>
      <span className="jp-Himalia-itemActions">
        {!isChampion && (
          <IconButton
            label={trans.__('Make version %1 the champion', version.version)}
            icon={championIcon}
            disabledReason={refusedBy(role, 'model.alias', trans)}
            onClick={() =>
              void commands.execute(CommandIDs.setAlias, {
                model: model.name,
                version: version.version,
                alias: CHAMPION
              })
            }
          />
        )}
        <IconButton
          label={trans.__('Deploy version %1', version.version)}
          icon={deployIcon}
          disabledReason={refusedBy(role, 'deployment.request', trans)}
          onClick={() => void commands.execute(CommandIDs.deploy, { model: uri })}
        />
        <IconButton
          label={trans.__('Open version %1 in MLflow', version.version)}
          icon={trackingIcon}
          onClick={() =>
            void commands.execute(CommandIDs.openMlflow, {
              fragment: versionFragment(model.name, version.version)
            })
          }
        />
      </span>
    </li>
  );
}
