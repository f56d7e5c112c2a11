import { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { at } from '../api/request';
import { refusedBy } from '../api/roles';
import { CommandIDs } from '../commands';
import { frameButtons } from '../frame/bar';
import { FrameContent } from '../frame/content';
import { Documents } from '../frame/documents';
import { dashboardIcon } from '../frame/icons';
import { FrameState, hindrance } from '../frame/state';
import { IHimalia } from '../tokens';

/** What a dashboard's tab is made from. */
export interface IDashboardOptions {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  trans: TranslationBundle;
  dashboards: Documents;
  slug: string;
  name: string;
  page: string;
}

/** Dask's dashboard of a cluster, in a tab. */
export function makeDashboard(options: IDashboardOptions): MainAreaWidget<Widget> {
  const { himalia, trans, dashboards, slug, name } = options;
  const pages = dashboardPages(trans);
  let page = options.page in pages ? options.page : 'status';
  const content = new FrameContent({
    himalia,
    trans,
    label: trans.__('Dask dashboard of the cluster %1', name),
    alwaysLight: true,
    live: true,
    state: () => dashboardState(options, page)
  });
  const chooser = new PageChooser(pages, page, trans, chosen => {
    page = chosen;
    content.refresh();
    dashboards.remember(widget, { slug, name, page });
  });
  const widget = new MainAreaWidget<Widget>({ content });
  widget.toolbar.addItem('pages', chooser);
  frameButtons(content, trans).forEach(([id, button]) => widget.toolbar.addItem(id, button));
  widget.title.label = trans.__('Dask: %1', name);
  widget.title.caption = trans.__('Dask dashboard of the cluster %1 of %2', name, slug);
  widget.title.icon = dashboardIcon;
  return widget;
}

function dashboardPages(trans: TranslationBundle): Record<string, string> {
  return {
    status: trans.__('Status'),
    workers: trans.__('Workers'),
    tasks: trans.__('Tasks'),
    graph: trans.__('Graph')
  };
}

function dashboardState(options: IDashboardOptions, page: string): FrameState {
  const { app, himalia, trans, slug, name } = options;
  const stopped = hindrance(
    himalia,
    slug,
    {
      start: () => void himalia.start(),
      open: other => void app.commands.execute(CommandIDs.openProject, { slug: other })
    },
    trans
  );
  if (stopped || !himalia.store) {
    return stopped ?? { kind: 'wait', notice: { text: trans.__('Connecting…'), busy: true } };
  }
  const { clusters, project } = himalia.store;
  if (clusters.items === null) {
    const problem = clusters.problem ?? undefined;
    return { kind: 'wait', notice: { text: trans.__('Connecting…'), busy: !problem, problem } };
  }
  const cluster = clusters.items.find(item => item.name === name);
  const action = {
    label: trans.__('Start the cluster %1', name),
    onClick: () => void app.commands.execute(CommandIDs.startCluster, { name }),
    disabledReason: refusedBy(project.role, 'cluster.write', trans)
  };
  if (!cluster) {
    return {
      kind: 'gone',
      notice: { text: trans.__('The cluster %1 does not run.', name), action }
    };
  }
  switch (cluster.state) {
    case 'running':
      return { kind: 'page', url: himalia.pageUrl(`dashboard/${at(slug, name, page)}`) };
    case 'failed':
      return {
        kind: 'gone',
        notice: {
          text: trans.__('The cluster %1 could not be started.', name),
          problem: {
            message: cluster.error ?? trans.__('The reason is not known.'),
            hint: trans.__('Stop it, mend the reason, and start it again.'),
            status: 0
          }
        }
      };
    default:
      return {
        kind: 'gone',
        notice: {
          text:
            cluster.state === 'closing'
              ? trans.__('The cluster %1 is being stopped…', name)
              : trans.__('The cluster %1 is starting…', name),
          busy: true
        }
      };
  }
}

/** One button a page; the current one is pressed. */
class PageChooser extends ReactWidget {
  constructor(
    private readonly _pages: Record<string, string>,
    private _current: string,
    private readonly _trans: TranslationBundle,
    private readonly _onChoice: (page: string) => void
  ) {
    super();
    this.addClass('jp-Himalia-frameBar');
  }

  protected render(): React.ReactElement {
    return (
      <div className="jp-Himalia-segments" role="group" aria-label={this._trans.__('Page')}>
        {Object.entries(this._pages).map(([page, label]) => (
          <button
            key={page}
            type="button"
            aria-pressed={page === this._current}
            onClick={() => this._choose(page)}
          >
            {label}
          </button>
        ))}
      </div>
    );
  }

  private _choose(page: string): void {
    this._current = page;
    this.update();
    this._onChoice(page);
  }
}
