import { MainAreaWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { Deployment } from '../api/types';
import { CommandIDs } from '../commands';
import { ActionButton, Ago, EmptyState, StateDot } from '../components';
import { ConnectionNotice } from '../frame/connectionNotice';
import { StoreGate } from '../frame/gate';
import { endpointIcon } from '../frame/icons';
import { versionFragment } from '../models/versions';
import { IHimalia, IProjectStore } from '../tokens';
import { AddressCard, CodeCard } from './code';
import { Invocation } from './invocation';
import { Revisions } from './revisions';
import { TryCard } from './tryCard';

/** What an endpoint's document is made from. */
export interface IDeploymentOptions {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  slug: string;
  name: string;
}

/** An endpoint: how it is, a form to try it, and how to ask it from elsewhere. */
export function makeDeployment(options: IDeploymentOptions): MainAreaWidget<Widget> {
  const content = ReactWidget.create(<DeploymentDocument {...options} />);
  content.addClass('jp-Himalia-document');
  const widget = new MainAreaWidget<Widget>({ content });
  widget.toolbar.hide();
  widget.title.label = options.name;
  widget.title.caption = options.trans.__('Endpoint %1 of %2', options.name, options.slug);
  widget.title.icon = endpointIcon;
  return widget;
}

function DeploymentDocument(props: IDeploymentOptions): React.ReactElement {
  const { himalia, commands, trans, slug, name } = props;
  return (
    <StoreGate himalia={himalia} commands={commands} trans={trans} slug={slug}>
      {store => {
        const { items, problem } = store.deployments;
        const deployment = items?.find(item => item.name === name);
        if (deployment) {
          return <Page {...props} store={store} deployment={deployment} />;
        }
        const text = items
          ? trans.__('There is no endpoint %1 (any more).', name)
          : (problem?.message ?? trans.__('Loading…'));
        const deploy = () => void commands.execute(CommandIDs.deploy, { name });
        return (
          <div className="jp-Himalia-page">
            <EmptyState
              text={text}
              action={
                items
                  ? {
                      label: trans.__('Deploy a model'),
                      onClick: deploy,
                      disabledReason: refusedBy(store.project.role, 'deployment.request', trans)
                    }
                  : undefined
              }
            />
          </div>
        );
      }}
    </StoreGate>
  );
}

interface IPageProps extends IDeploymentOptions {
  store: IProjectStore;
  deployment: Deployment;
}

function Page(props: IPageProps): React.ReactElement {
  const { himalia, trans, store, deployment } = props;
  const [document, setDocument] = React.useState<Invocation | null>(null);
  return (
    <div className="jp-Himalia-page">
      <Head {...props} />
      <ConnectionNotice himalia={himalia} trans={trans} />
      <div className="jp-Himalia-endpointGrid">
        <TryCard
          himalia={himalia}
          trans={trans}
          store={store}
          deployment={deployment}
          onDocument={setDocument}
        />
        <div className="jp-Himalia-endpointSide">
          <AddressCard deployment={deployment} slug={store.slug} trans={trans} />
          {document && <CodeCard deployment={deployment} document={document} trans={trans} />}
          <Revisions deployment={deployment} trans={trans} />
        </div>
      </div>
    </div>
  );
}

function Head(props: IPageProps): React.ReactElement {
  const { commands, trans, store, deployment } = props;
  const { role } = store.project;
  const { name, model_name, model_version, requested_version } = deployment;
  const run = (command: string, args: Record<string, string>) => () =>
    void commands.execute(command, args);
  return (
    <div className="jp-Himalia-pageHead">
      <div className="jp-Himalia-pageTitle">
        <h1>{name}</h1>
        <StateDot state={deployment.state} trans={trans} />
        <span className="jp-Himalia-pageActions">
          <ActionButton
            label={trans.__('Deploy another version…')}
            disabledReason={refusedBy(role, 'deployment.request', trans)}
            onClick={run(CommandIDs.deploy, { name })}
          />
          <ActionButton
            label={trans.__('Delete…')}
            disabledReason={refusedBy(role, 'deployment.write', trans)}
            onClick={run(CommandIDs.deleteDeployment, { name })}
          />
        </span>
      </div>
      <p className="jp-Himalia-muted">
        <button
          type="button"
          className="jp-Himalia-link jp-mod-inline"
          title={trans.__('Open in MLflow')}
          onClick={run(CommandIDs.openMlflow, {
            fragment: versionFragment(model_name, model_version)
          })}
        >
          {trans.__('%1 version %2', model_name, model_version)}
        </button>
        {' · '}
        {trans.__('made by %1', deployment.created_by)}{' '}
        <Ago at={deployment.created_at} trans={trans} />
      </p>
      {requested_version && (
        <div className="jp-Himalia-request" role="status">
          <StateDot
            state="requested"
            label={trans.__('Version %1 waits to be deployed here.', requested_version)}
            trans={trans}
          />
          <ActionButton
            label={trans.__('Confirm version %1', requested_version)}
            primary
            disabledReason={refusedBy(role, 'deployment.write', trans)}
            onClick={run(CommandIDs.confirmDeployment, { name, version: requested_version })}
          />
        </div>
      )}
    </div>
  );
}
