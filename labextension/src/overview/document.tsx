import { MainAreaWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { EmptyState, ProblemMessage, useHimalia } from '../components';
import { ConnectionNotice, isAway } from '../frame/connectionNotice';
import { StoreGate } from '../frame/gate';
import { himaliaIcon } from '../icons';
import { pipelineRuns } from '../pipelines/rows';
import { IHimalia, IProjectStore } from '../tokens';
import { Cards } from './cards';
import { Graph } from './graph';
import { nextStep } from './nextStep';
import { StepCard } from './stepCard';

/** What the overview is made from. */
export interface IOverviewOptions {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The home of the open project. */
export function makeOverview(options: IOverviewOptions): MainAreaWidget<Widget> {
  const content = ReactWidget.create(<Overview {...options} />);
  content.addClass('jp-Himalia-document');
  const widget = new MainAreaWidget<Widget>({ content });
  widget.toolbar.hide();
  widget.title.label = options.trans.__('Overview');
  widget.title.caption = options.trans.__('The home of the open project');
  widget.title.icon = himaliaIcon;
  return widget;
}

function Overview(props: IOverviewOptions): React.ReactElement {
  const { commands, trans } = props;
  const himalia = useHimalia(props.himalia);
  const slug = himalia.store?.slug;
  if (slug === undefined && himalia.connection === 'live' && himalia.projects !== null) {
    return <NoProject {...props} />;
  }
  return (
    <StoreGate himalia={himalia} commands={commands} trans={trans} slug={slug ?? ''}>
      {store => <Home {...props} store={store} />}
    </StoreGate>
  );
}

function NoProject(props: IOverviewOptions): React.ReactElement {
  const { himalia, commands, trans } = props;
  const text = himalia.deleted
    ? trans.__('The project %1 has been archived or deleted.', himalia.deleted)
    : trans.__('No project is open on this page.');
  const some = (himalia.projects?.length ?? 0) > 0;
  const action = some
    ? {
        label: trans.__('Open a project…'),
        onClick: () => void commands.execute(CommandIDs.openProject)
      }
    : {
        label: trans.__('Open the example'),
        onClick: () => void commands.execute(CommandIDs.openExample)
      };
  return (
    <div className="jp-Himalia-page">
      <EmptyState text={text} action={action} />
    </div>
  );
}

function Home(props: IOverviewOptions & { store: IProjectStore }): React.ReactElement {
  const { himalia, commands, trans, store } = props;
  const { project } = store;
  const away = isAway(himalia.connection);
  const step = nextStep(store);
  const run = pipelineRuns(store.runs.items ?? [])[0] ?? null;
  return (
    <div className="jp-Himalia-page">
      <div className="jp-Himalia-pageHead">
        <div className="jp-Himalia-pageTitle">
          <h1>{store.slug}</h1>
        </div>
        {project.name.toLowerCase() !== store.slug && (
          <p className="jp-Himalia-muted">{project.name}</p>
        )}
        {project.description && <p>{project.description}</p>}
      </div>
      <ConnectionNotice himalia={himalia} trans={trans} />
      {store.runs.problem && !away && <ProblemMessage problem={store.runs.problem} trans={trans} />}
      {!away && <StepCard step={step} store={store} commands={commands} trans={trans} />}
      {project.stages.length > 0 && (
        <Graph project={project} run={run} commands={commands} trans={trans} />
      )}
      <Cards store={store} commands={commands} trans={trans} />
    </div>
  );
}
