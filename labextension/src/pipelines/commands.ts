import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { TranslationBundle } from '@jupyterlab/translation';
import { editIcon, fileIcon, notebookIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { tell } from '../components/notify';
import { refusedBy } from '../api/roles';
import { CommandIDs } from '../commands';
import { repairFirst } from '../components/repair';
import { Documents } from '../frame/documents';
import { himaliaIcon } from '../icons';
import type { IHimalia } from '../tokens';
import { addMoreCommands } from './moreCommands';
import { readOptions } from './options';
import type { Parameters } from './parameters';
import { activeRun } from './rows';

/** What the commands stand on. */
export interface IPipelineParts {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  restorer: ILayoutRestorer | null;
  browser: IFileBrowserFactory | null;
  trans: TranslationBundle;
}

const text = { type: 'string' } as const;
const forRun = { args: { type: 'object', properties: { run: text, slug: text } } } as const;
const forStage = {
  args: {
    type: 'object',
    properties: { run: text, stage: text, slug: text, attempt: { type: 'integer' } }
  }
} as const;
const names = { oneOf: [text, { type: 'array', items: text }] };
const forPipeline = {
  args: {
    type: 'object',
    properties: {
      only: names,
      from: names,
      to: names,
      force: { type: 'boolean' },
      keep_going: { type: 'boolean' },
      parallel: { type: 'integer' },
      params: { type: 'object' }
    }
  }
} as const;
const noArgs = { args: { type: 'object', properties: {} } } as const;

/** Register run, cancel and the documents of the room; the executed notebooks are apart. */
export function addPipelineCommands(parts: IPipelineParts): void {
  addRunCommands(parts);
  addCancel(parts);
  addDocuments(parts);
  addMoreCommands(parts);
  const { app, himalia, trans } = parts;
  app.commands.addCommand(CommandIDs.openStageNotebook, {
    label: trans.__('Open the Notebook of a Stage'),
    icon: notebookIcon,
    describedBy: { args: { type: 'object', properties: { stage: text } } },
    isEnabled: args => himalia.store !== null && Boolean(args.stage),
    execute: async args => {
      const { openStageNotebook } = await import('./acts');
      await openStageNotebook(parts, String(args.stage));
    }
  });
  himalia.changed.connect(() => {
    const ids = [CommandIDs.runPipeline, CommandIDs.runWithParameters, CommandIDs.cancelRun];
    ids.forEach(id => app.commands.notifyCommandChanged(id));
  });
}

function addRunCommands(parts: IPipelineParts): void {
  const { app, himalia, trans } = parts;
  const { commands } = app;
  commands.addCommand(CommandIDs.runPipeline, {
    label: trans.__('Run the Pipeline'),
    caption: () =>
      whyNotRun(himalia, trans) ?? trans.__('Run all stages on the project as it is now'),
    icon: runIcon,
    describedBy: forPipeline,
    isEnabled: () => whyNotRun(himalia, trans) === null,
    execute: async args => {
      if (mustNotRun(himalia, trans)) {
        return;
      }
      const { runPipeline } = await import('./start');
      const params = (args.params ?? {}) as Parameters;
      await runPipeline({ himalia, commands, trans }, { params, options: readOptions(args) });
    }
  });
  commands.addCommand(CommandIDs.runWithParameters, {
    label: trans.__('Run with Parameters…'),
    caption: () =>
      whyNotRun(himalia, trans) ?? trans.__('Change parameters for one run of the pipeline'),
    icon: editIcon,
    describedBy: noArgs,
    isEnabled: () => whyNotRun(himalia, trans) === null,
    execute: async () => {
      const { store } = himalia;
      if (mustNotRun(himalia, trans)) {
        return;
      }
      if (!store?.project.stages.some(({ params }) => Object.keys(params).length > 0)) {
        tell(
          'info',
          trans.__('No stage has parameters yet. Name them in himalia.toml: params = { … }.')
        );
        return;
      }
      const { runWithParameters } = await import('./parameterDialog');
      await runWithParameters({ himalia, commands, trans }, store);
    }
  });
}

/** Whether it cannot be run, which is told: buttons elsewhere and the launcher's card can always be pressed. */
function mustNotRun(himalia: IHimalia, trans: TranslationBundle): boolean {
  const reason = whyNotRun(himalia, trans);
  if (reason !== null) {
    tell('warning', trans.__('The pipeline was not run. %1', reason));
  }
  return reason !== null;
}

/** Why the pipeline cannot be run now; null when it can. */
export function whyNotRun(himalia: IHimalia, trans: TranslationBundle): string | null {
  const { store, connection } = himalia;
  if (!store) {
    return trans.__('Open a project first.');
  }
  if (connection !== 'live') {
    return trans.__('Himalia is not connected.');
  }
  if (store.project.problem) {
    return repairFirst(store.project, trans);
  }
  if (store.project.stages.length === 0) {
    return trans.__('The project has no stages yet.');
  }
  return refusedBy(store.project.role, 'run.start', trans) ?? null;
}

function addCancel(parts: IPipelineParts): void {
  const { app, himalia, trans } = parts;
  const active = () => activeRun(himalia.store?.runs.items ?? null);
  const refused = () =>
    himalia.store ? refusedBy(himalia.store.project.role, 'run.cancel', trans) : undefined;
  app.commands.addCommand(CommandIDs.cancelRun, {
    label: trans.__('Cancel the Run…'),
    caption: () => refused() ?? trans.__('Stop what runs; what was done until then is kept'),
    icon: stopIcon,
    describedBy: forRun,
    isEnabled: args => !refused() && (Boolean(args.run) || active() !== null),
    isVisible: args => !args.toolbar || active() !== null,
    execute: async args => {
      const id = typeof args.run === 'string' ? args.run : active()?.id;
      const slug = slugOf(args, himalia);
      const reason = refused();
      if (reason) {
        tell('warning', trans.__('The run was not cancelled. %1', reason));
      } else if (id && slug) {
        const { cancelRun } = await import('./acts');
        await cancelRun({ himalia, commands: app.commands, trans }, slug, id);
      }
    }
  });
}

function addDocuments(parts: IPipelineParts): void {
  const { app, himalia, restorer, trans } = parts;
  const { commands } = app;
  const runs = new Documents(app, 'himalia-run', CommandIDs.openRun, restorer);
  commands.addCommand(CommandIDs.openRun, {
    label: trans.__('Open a Run'),
    icon: himaliaIcon,
    describedBy: forRun,
    isEnabled: args => typeof args.run === 'string',
    execute: async args => {
      const slug = slugOf(args, himalia);
      const id = args.run;
      if (slug && typeof id === 'string') {
        const { makeRunDocument } = await import('./runDocument');
        await runs.open(`${slug}-${id}`, { slug, run: id }, () =>
          Promise.resolve(makeRunDocument({ himalia, commands, trans, slug, id }))
        );
      }
    }
  });
  const logs = new Documents(app, 'himalia-log', CommandIDs.openStageLog, restorer);
  commands.addCommand(CommandIDs.openStageLog, {
    label: trans.__('Open the Log of a Stage'),
    icon: fileIcon,
    describedBy: forStage,
    isEnabled: args => typeof args.run === 'string' && typeof args.stage === 'string',
    execute: async args => {
      const slug = slugOf(args, himalia);
      const { run, stage } = args;
      const attempt = typeof args.attempt === 'number' ? args.attempt : null;
      if (slug && typeof run === 'string' && typeof stage === 'string') {
        const { serverSettings } = app.serviceManager;
        const { makeLogDocument } = await import('./logDocument');
        await logs.open(
          [slug, run, stage, attempt ?? 'last'].join('-'),
          { slug, run, stage, attempt },
          () =>
            Promise.resolve(
              makeLogDocument({ himalia, serverSettings, trans, slug, run, stage, attempt })
            )
        );
      }
    }
  });
}

/** The project that a command is about: the named one, else the open one. */
export function slugOf(args: ReadonlyPartialJSONObject, himalia: IHimalia): string | null {
  return typeof args.slug === 'string' ? args.slug : (himalia.store?.slug ?? null);
}
