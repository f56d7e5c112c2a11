import { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { at } from '../api/request';
import { CommandIDs } from '../commands';
import { frameButtons } from '../frame/bar';
import { FrameContent } from '../frame/content';
import { trackingIcon } from '../frame/icons';
import { FrameState, hindrance } from '../frame/state';
import { IHimalia } from '../tokens';
import { prepareMlflow } from './preferences';

/** What MLflow's tab is made from. */
export interface IMlflowOptions {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  trans: TranslationBundle;
  slug: string;
  /** The route to begin with, after the # of MLflow's address. */
  fragment: string;
}

/** MLflow's own pages of a project. */
export class MlflowContent extends FrameContent {
  constructor(private readonly _mlflow: IMlflowOptions) {
    super({
      himalia: _mlflow.himalia,
      trans: _mlflow.trans,
      label: _mlflow.trans.__('MLflow of the project %1', _mlflow.slug),
      state: () => mlflowState(_mlflow)
    });
  }

  /** Go to a route of MLflow. */
  goTo(fragment: string): void {
    this._mlflow.fragment = fragment;
    this.refresh();
    this.navigate(`#${fragment}`);
  }
}

/** MLflow in a tab. */
export function makeMlflow(options: IMlflowOptions): MainAreaWidget<Widget> {
  const { trans, slug } = options;
  prepareMlflow(window.localStorage, document.body.dataset.jpThemeLight === 'false');
  const content = new MlflowContent({ ...options });
  const widget = new MainAreaWidget<Widget>({ content });
  frameButtons(content, trans).forEach(([id, button]) => widget.toolbar.addItem(id, button));
  widget.title.label = trans.__('MLflow');
  widget.title.caption = trans.__('Runs and models of %1', slug);
  widget.title.icon = trackingIcon;
  return widget;
}

function mlflowState(options: IMlflowOptions): FrameState {
  const { app, himalia, trans, slug, fragment } = options;
  const stopped = hindrance(
    himalia,
    slug,
    {
      start: () => void himalia.start(),
      open: other => void app.commands.execute(CommandIDs.openProject, { slug: other })
    },
    trans
  );
  if (stopped) {
    return stopped;
  }
  if (himalia.store?.tracking !== 'running') {
    const text = trans.__('MLflow is starting. This takes some seconds…');
    return { kind: 'wait', notice: { text, busy: true } };
  }
  const url = himalia.pageUrl(`mlflow/${at(slug)}/`);
  // MLflow's own first page is about other things than this project's runs
  return { kind: 'page', url: `${url}#${fragment || '/experiments'}` };
}
