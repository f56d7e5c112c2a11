import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { TranslationBundle } from '@jupyterlab/translation';

import { whyNot } from '../api/roles';
import { CommandIDs } from '../commands';
import { tell, unless } from '../components/notify';
import { chosenNotebook } from '../frame/chosenNotebook';
import { Documents } from '../frame/documents';
import type { IHimalia } from '../tokens';
import { verifyIcon } from './icons';

/** Register the command that verifies a notebook. */
export function addVerify(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  browser: IFileBrowserFactory | null,
  trans: TranslationBundle
): void {
  const refusal = () => whyNot(himalia, 'verify.start', trans);
  app.commands.addCommand(CommandIDs.verify, {
    label: trans.__('Verify the Notebook'),
    caption: () =>
      refusal() ?? trans.__('Run it in a clean kernel, and compare each cell with what it shows'),
    icon: verifyIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: { path: { type: 'string' }, browser: { type: 'boolean' } }
      }
    },
    isEnabled: () => refusal() === null,
    isVisible: () => himalia.store !== null,
    execute: unless(refusal, async args => {
      const path = chosenNotebook(app, browser, args);
      if (path === null || !himalia.store) {
        tell('warning', trans.__('Open the notebook that is to be verified first.'));
        return;
      }
      const { startVerification } = await import('./start');
      await startVerification(app, himalia, himalia.store, path, trans);
    })
  });
  himalia.changed.connect(() => app.commands.notifyCommandChanged(CommandIDs.verify));
}

/** Register the command that shows what was found. */
export function addVerifyDocument(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  rendermime: IRenderMimeRegistry,
  restorer: ILayoutRestorer | null,
  trans: TranslationBundle
): void {
  const { commands } = app;
  const documents = new Documents(
    app,
    'himalia-verification',
    CommandIDs.openVerification,
    restorer
  );
  const text = { type: 'string' };
  commands.addCommand(CommandIDs.openVerification, {
    label: trans.__('Open a Verification'),
    icon: verifyIcon,
    describedBy: { args: { type: 'object', properties: { verification: text, slug: text } } },
    isEnabled: args => typeof args.verification === 'string',
    execute: async args => {
      const slug = typeof args.slug === 'string' ? args.slug : himalia.store?.slug;
      const id = args.verification;
      if (slug === undefined || typeof id !== 'string') {
        return;
      }
      const { makeVerifyDocument } = await import('./document');
      await documents.open(`${slug}-${id}`, { slug, verification: id }, async () =>
        makeVerifyDocument({ himalia, commands, rendermime, trans, slug, id })
      );
    }
  });
}
