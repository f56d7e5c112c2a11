import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { at } from '../api/request';
import { whyNot } from '../api/roles';
import type { BuildAnswer } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem, tell, unless } from '../components/notify';
import { Documents } from '../frame/documents';
import { packageIcon } from '../frame/icons';
import type { IHimalia } from '../tokens';
import { chosen, environmentOf } from './question';

/** What the room's commands stand on. */
export interface IEnvironmentParts {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  restorer: ILayoutRestorer | null;
  trans: TranslationBundle;
}

const text = { type: 'string' } as const;
const noArgs = { args: { type: 'object', properties: {} } } as const;

/** Register the room's commands; returns those for the palette. */
export function addEnvironmentCommands(parts: IEnvironmentParts): string[] {
  const { app, himalia, trans } = parts;
  const { commands } = app;
  const refusal = () => whyNot(himalia, 'environment.build', trans);
  const mayEdit = () => whyNot(himalia, 'project.edit', trans);
  const state = () => environmentOf(himalia.store)?.state;
  commands.addCommand(CommandIDs.buildEnvironment, {
    label: args =>
      args.upgrade
        ? trans.__('Upgrade the Packages of the Project')
        : trans.__('Build the Environment'),
    caption: () =>
      refusal() ??
      (state() === 'shared'
        ? trans.__('This project uses the site’s own packages: nothing is to be built.')
        : trans.__('Install what the project’s requirements ask for')),
    describedBy: {
      args: {
        type: 'object',
        properties: { upgrade: { type: 'boolean' }, name: text }
      }
    },
    isEnabled: args =>
      refusal() === null &&
      (nameOf(args) !== null || !['shared', 'building'].includes(state() ?? 'shared')),
    execute: unless(refusal, args => build(parts, args.upgrade === true, nameOf(args)))
  });
  commands.addCommand(CommandIDs.cancelBuild, {
    label: trans.__('Stop Building the Environment'),
    caption: () => refusal() ?? trans.__('The environment that was there before stays'),
    describedBy: { args: { type: 'object', properties: { name: text } } },
    isEnabled: args => refusal() === null && (nameOf(args) !== null || state() === 'building'),
    execute: unless(refusal, args => cancel(parts, nameOf(args)))
  });
  commands.addCommand(CommandIDs.ownEnvironment, {
    label: trans.__('Give the Project Packages of Its Own'),
    caption: () => mayEdit() ?? trans.__('A requirements.txt, named in himalia.toml'),
    describedBy: noArgs,
    isEnabled: () => mayEdit() === null && state() === 'shared',
    execute: unless(mayEdit, async () => {
      const { ownEnvironment } = await import('./own');
      await ownEnvironment(parts);
    })
  });
  commands.addCommand(CommandIDs.restartOutdated, {
    label: trans.__('Restart Kernels with Older Packages…'),
    caption: trans.__('Those that were started before the environment changed'),
    describedBy: { args: { type: 'object', properties: { kernel: { type: 'string' } } } },
    isEnabled: args =>
      typeof args.kernel === 'string' ||
      (environmentOf(himalia.store)?.kernels_outdated.length ?? 0) > 0,
    execute: async args => {
      const { restartKernels } = await import('./restart');
      const all = environmentOf(himalia.store)?.kernels_outdated ?? [];
      await restartKernels(parts, typeof args.kernel === 'string' ? [args.kernel] : all);
    }
  });
  addDocument(parts);
  const all = [
    CommandIDs.buildEnvironment,
    CommandIDs.cancelBuild,
    CommandIDs.openEnvironment,
    CommandIDs.ownEnvironment,
    CommandIDs.restartOutdated
  ];
  let store = himalia.store;
  const tell = () => all.forEach(id => commands.notifyCommandChanged(id));
  himalia.changed.connect(() => {
    if (store !== himalia.store) {
      store?.changed.disconnect(tell);
      store = himalia.store;
      store?.changed.connect(tell);
    }
    tell();
  });
  return all;
}

function addDocument({ app, himalia, restorer, trans }: IEnvironmentParts): void {
  const documents = new Documents(app, 'himalia-environment', CommandIDs.openEnvironment, restorer);
  app.commands.addCommand(CommandIDs.openEnvironment, {
    label: trans.__('Open the Environment'),
    caption: trans.__('Packages, and the log of the last build'),
    icon: packageIcon,
    describedBy: { args: { type: 'object', properties: { slug: text, name: text } } },
    isEnabled: args => typeof args.slug === 'string' || himalia.store !== null,
    execute: async args => {
      const slug = typeof args.slug === 'string' ? args.slug : himalia.store?.slug;
      const name = nameOf(args);
      if (slug === undefined) {
        return;
      }
      const { makeEnvironmentDocument } = await import('./document');
      const { serverSettings } = app.serviceManager;
      const { commands } = app;
      await documents.open([slug, name].filter(Boolean).join('-'), { slug, name }, async () =>
        makeEnvironmentDocument({ himalia, commands, serverSettings, trans, slug, name })
      );
    }
  });
}

/** The one of [environments] that a command is about; null: the project's own. */
function nameOf({ name }: ReadonlyPartialJSONObject): string | null {
  return typeof name === 'string' ? name : null;
}

/** @param name - of one of its further environments; null: the project's own */
async function build(
  parts: IEnvironmentParts,
  upgrade: boolean,
  name: string | null
): Promise<void> {
  const { app, himalia, trans } = parts;
  const { store } = himalia;
  if (!store) {
    return;
  }
  try {
    const { saveAsked } = await import('./save');
    await saveAsked(app, store);
    const path = at('projects', store.slug, 'environment');
    const address = path + chosen(name, '?');
    const { result } = await himalia.request<BuildAnswer>('POST', address, { upgrade });
    if (result === 'unchanged') {
      tell('info', trans.__('The environment is up to date.'));
    } else if (result === 'switched') {
      tell('success', trans.__('The same environment was there already: it is in use now.'));
    } else {
      await app.commands.execute(CommandIDs.openEnvironment, { name });
    }
  } catch (error) {
    notifyProblem(trans.__('The environment could not be built.'), error, trans);
  }
}

async function cancel({ himalia, trans }: IEnvironmentParts, name: string | null): Promise<void> {
  try {
    const path = at('projects', himalia.store?.slug ?? '', 'environment');
    await himalia.request('DELETE', path + chosen(name, '?'));
  } catch (error) {
    notifyProblem(trans.__('The build could not be stopped.'), error, trans);
  }
}
