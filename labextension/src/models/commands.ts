import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { at } from '../api/request';
import { whyNot } from '../api/roles';
import { CommandIDs } from '../commands';
import { notifyProblem, unless } from '../components/notify';
import { Documents } from '../frame/documents';
import { IHimalia } from '../tokens';

/** Register the room's commands. */
export function addModelCommands(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  trans: TranslationBundle,
  restorer: ILayoutRestorer | null
): void {
  const { commands } = app;
  const text = { type: 'string' };
  const refusal = () => whyNot(himalia, 'model.alias', trans);
  const tabs = new Documents(app, 'himalia-mlflow', CommandIDs.openMlflow, restorer);

  commands.addCommand(CommandIDs.openMlflow, {
    label: trans.__('Open MLflow'),
    caption: trans.__('Runs, figures and models of this project in MLflow’s own pages'),
    describedBy: { args: { type: 'object', properties: { slug: text, fragment: text } } },
    isEnabled: args => typeof args['slug'] === 'string' || himalia.store !== null,
    execute: async args => {
      const slug = String(args['slug'] ?? himalia.store?.slug ?? '');
      if (!slug) {
        return;
      }
      const fragment = typeof args['fragment'] === 'string' ? args['fragment'] : '';
      const { MlflowContent, makeMlflow } = await import('./mlflow');
      const widget = await tabs.open(slug, { slug, fragment }, async () =>
        makeMlflow({ app, himalia, trans, slug, fragment })
      );
      if (fragment && widget.content instanceof MlflowContent) {
        widget.content.goTo(fragment);
      }
    }
  });

  commands.addCommand(CommandIDs.setAlias, {
    label: trans.__('Set a Model Alias'),
    caption: () => refusal() ?? trans.__('Point an alias to a version'),
    describedBy: {
      args: {
        type: 'object',
        properties: { model: text, version: text, alias: text },
        required: ['model', 'version', 'alias']
      }
    },
    isEnabled: () => refusal() === null,
    execute: unless(refusal, async args => {
      const { store } = himalia;
      const [model, version, alias] = ['model', 'version', 'alias'].map(key =>
        String(args[key] ?? '')
      );
      if (!store || !model || !version || !alias) {
        return;
      }
      try {
        await himalia.request(
          'PUT',
          at('projects', store.slug, 'models', model, 'aliases', alias),
          { version }
        );
        Notification.success(trans.__('Version %1 of %2 is the %3.', version, model, alias), {
          autoClose: 4000
        });
      } catch (error) {
        const what = trans.__('Version %1 of %2 could not be made the %3.', version, model, alias);
        notifyProblem(what, error, trans);
      }
    })
  });
  himalia.changed.connect(() => {
    commands.notifyCommandChanged(CommandIDs.openMlflow);
  });
}
