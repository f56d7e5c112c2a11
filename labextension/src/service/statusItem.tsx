import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Environment } from '../api/types';
import { useHimalia, useStore } from '../components/hooks';
import { awaitsManifest, environmentOf, failedToBuild } from '../environments/question';
import { himaliaIcon } from '../icons';
import type { IHimalia, IProjectStore } from '../tokens';
import { connectionHelp, connectionWord } from './words';

/** "nyc-flights · local, 2 workers · own packages · tracking" in the status bar; a click shows more. */
export class ServiceStatusItem extends ReactWidget {
  constructor(
    private readonly _himalia: IHimalia,
    private readonly _trans: TranslationBundle,
    private readonly _onClick: () => void
  ) {
    super();
    this.id = 'jp-Himalia-service-status';
  }

  protected render(): React.ReactElement {
    return <Status himalia={this._himalia} trans={this._trans} onClick={this._onClick} />;
  }
}

function Status(props: {
  himalia: IHimalia;
  trans: TranslationBundle;
  onClick: () => void;
}): React.ReactElement {
  const { trans, onClick } = props;
  const { connection, store } = useHimalia(props.himalia);
  useStore(store);
  return (
    <button
      className="jp-Himalia-status"
      data-state={connection}
      onClick={onClick}
      title={connectionHelp(connection, trans)}
      type="button"
    >
      <himaliaIcon.react tag="span" stylesheet="statusBar" aria-hidden="true" />
      <span>
        {connection === 'live' ? liveText(store, trans) : stillText(store, connection, trans)}
      </span>
    </button>
  );
}

function liveText(store: IProjectStore | null, trans: TranslationBundle): string {
  if (!store) {
    return trans.__('Himalia');
  }
  const cluster = store.clusters.items?.find(candidate => candidate.state === 'running');
  const environment = environmentOf(store);
  const parts = [
    store.slug,
    cluster
      ? trans._n('%2, %1 worker', '%2, %1 workers', cluster.workers, cluster.name)
      : trans.__('no cluster'),
    environment && !awaitsManifest(store, environment) && packagesWord(environment, trans),
    store.tracking === 'running' ? trans.__('tracking') : trans.__('tracking starts')
  ];
  return parts.filter(Boolean).join(' · ');
}

/** What the project's code runs in, as short as can be. */
function packagesWord(environment: Environment, trans: TranslationBundle): string {
  switch (environment.state) {
    case 'shared':
      return trans.__('site packages');
    case 'ready':
      return environment.kernels_outdated.length > 0
        ? trans.__('kernels to restart')
        : trans.__('own packages');
    case 'building':
      return trans.__('packages are built');
    case 'failed':
      return failedToBuild(environment)
        ? trans.__('packages failed')
        : trans.__('packages cannot be built');
    case 'outdated':
      return trans.__('packages outdated');
    default:
      return trans.__('packages not built');
  }
}

function stillText(
  store: IProjectStore | null,
  connection: IHimalia['connection'],
  trans: TranslationBundle
): string {
  return `${store?.slug ?? trans.__('Himalia')} · ${connectionWord(connection, trans)}`;
}
