import { whyNot } from '../api/roles';
import { CommandIDs } from '../commands';
import { tell, unless } from '../components/notify';
import { chosenNotebook } from '../frame/chosenNotebook';
import { Documents } from '../frame/documents';
import type { IPipelineParts } from './commands';
import { slugOf, whyNotRun } from './commands';
import { pipelineIcon, sweepIcon } from './icons';
import { readOptions } from './options';

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

/** Register the pipeline's own document, sweeps, resuming, comparing, and changing stages. */
export function addMoreCommands(parts: IPipelineParts): void {
  addPipelineDocument(parts);
  addCompare(parts);
  addSweeps(parts);
  addResume(parts);
  addRestore(parts);
  addStages(parts);
  const { app, himalia } = parts;
  himalia.changed.connect(() => {
    [CommandIDs.openPipeline, CommandIDs.editStage, CommandIDs.startSweep].forEach(id =>
      app.commands.notifyCommandChanged(id)
    );
  });
}

function addPipelineDocument({ app, himalia, restorer, trans }: IPipelineParts): void {
  const documents = new Documents(app, 'himalia-pipeline', CommandIDs.openPipeline, restorer);
  app.commands.addCommand(CommandIDs.openPipeline, {
    label: trans.__('Open the Pipeline'),
    caption: trans.__('The stages as a graph, their runs, and what a run would do'),
    icon: pipelineIcon,
    describedBy: { args: { type: 'object', properties: { slug: text, stage: text } } },
    isEnabled: args => slugOf(args, himalia) !== null,
    execute: async args => {
      const slug = slugOf(args, himalia);
      if (slug === null) {
        return;
      }
      const stage = typeof args.stage === 'string' ? args.stage : null;
      const { makePipelineDocument } = await import('./pipelineDocument');
      await documents.open(slug, { slug, stage }, async () =>
        makePipelineDocument({ himalia, commands: app.commands, trans, slug, stage })
      );
    }
  });
}

function addCompare({ app, himalia, restorer, trans }: IPipelineParts): void {
  const documents = new Documents(app, 'himalia-compare', CommandIDs.compareRuns, restorer);
  app.commands.addCommand(CommandIDs.compareRuns, {
    label: trans.__('Compare Runs'),
    icon: pipelineIcon,
    describedBy: {
      args: { type: 'object', properties: { slug: text, runs: { type: 'array', items: text } } }
    },
    isEnabled: args => Array.isArray(args.runs) && args.runs.length > 1,
    execute: async args => {
      const slug = slugOf(args, himalia);
      const runs = Array.isArray(args.runs) ? args.runs.map(String) : [];
      if (slug === null || runs.length < 2) {
        return;
      }
      const { makeCompareDocument } = await import('./compareDocument');
      await documents.open([slug, ...runs].join('-'), { slug, runs }, async () =>
        makeCompareDocument({ himalia, commands: app.commands, trans, slug, runs })
      );
    }
  });
}

function addSweeps({ app, himalia, restorer, trans }: IPipelineParts): void {
  const { commands } = app;
  const refusal = () => whyNotRun(himalia, trans);
  commands.addCommand(CommandIDs.startSweep, {
    label: trans.__('Sweep over Parameters…'),
    caption: () => refusal() ?? trans.__('Run the pipeline once for each combination of values'),
    icon: sweepIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: { force: flag, keep_going: flag, parallel: { type: 'integer' } }
      }
    },
    isEnabled: () => refusal() === null,
    execute: unless(refusal, async args => {
      const { store } = himalia;
      if (store) {
        const { startSweep } = await import('./sweeps/dialog');
        await startSweep({ himalia, commands, trans }, store, readOptions(args));
      }
    })
  });
  const documents = new Documents(app, 'himalia-sweep', CommandIDs.openSweep, restorer);
  commands.addCommand(CommandIDs.openSweep, {
    label: trans.__('Open a Sweep'),
    icon: sweepIcon,
    describedBy: { args: { type: 'object', properties: { slug: text, sweep: text } } },
    isEnabled: args => typeof args.sweep === 'string',
    execute: async args => {
      const slug = slugOf(args, himalia);
      const id = args.sweep;
      if (slug !== null && typeof id === 'string') {
        const { makeSweepDocument } = await import('./sweeps/document');
        await documents.open(`${slug}-${id}`, { slug, sweep: id }, async () =>
          makeSweepDocument({ himalia, commands, trans, slug, id })
        );
      }
    }
  });
}

function addResume({ app, himalia, trans }: IPipelineParts): void {
  const refusal = () => whyNot(himalia, 'run.start', trans);
  app.commands.addCommand(CommandIDs.resumeRun, {
    label: trans.__('Resume a Run'),
    caption: trans.__('Run what failed, and what comes after it; what is done and unchanged stays'),
    describedBy: { args: { type: 'object', properties: { run: text, slug: text } } },
    isEnabled: args => typeof args.run === 'string' && refusal() === null,
    execute: unless(refusal, async args => {
      const slug = slugOf(args, himalia);
      const id = String(args.run);
      if (slug === null) {
        return;
      }
      const { resumeRun } = await import('./acts');
      await resumeRun({ himalia, commands: app.commands, trans }, slug, id);
    })
  });
}

function addRestore({ app, himalia, trans }: IPipelineParts): void {
  const refusal = () => whyNot(himalia, 'run.start', trans);
  app.commands.addCommand(CommandIDs.restoreOutputs, {
    label: trans.__('Put the Outputs of a Run into the Folder…'),
    describedBy: { args: { type: 'object', properties: { run: text, slug: text } } },
    isEnabled: args => typeof args.run === 'string' && refusal() === null,
    execute: unless(refusal, async args => {
      const slug = slugOf(args, himalia);
      const id = String(args.run);
      if (slug === null) {
        return;
      }
      const { restoreOutputs } = await import('./acts');
      await restoreOutputs({ himalia, commands: app.commands, trans }, slug, id);
    })
  });
}

function addStages({ app, himalia, browser, trans }: IPipelineParts): void {
  const { commands } = app;
  const refusal = () => whyNot(himalia, 'project.edit', trans);
  commands.addCommand(CommandIDs.editStage, {
    label: args =>
      args.browser ? trans.__('Make It a Stage…') : trans.__('Make the Notebook a Stage…'),
    isVisible: () => himalia.store !== null,
    caption: () =>
      refusal() ??
      trans.__('Parameters, inputs and outputs of a notebook that runs with the pipeline'),
    icon: pipelineIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: { path: text, stage: text, browser: { type: 'boolean' } }
      }
    },
    isEnabled: () => refusal() === null,
    execute: unless(refusal, async args => {
      const { store } = himalia;
      const path = chosenNotebook(app, browser, args);
      if (!store) {
        return;
      }
      const { addStage, changeStage } = await import('./stageDialog');
      const { contents } = app.serviceManager;
      const parts = { himalia, commands, trans, contents };
      const stage = store.project.stages.find(({ name }) => name === args.stage);
      if (stage) {
        await changeStage(parts, store, stage);
      } else if (path !== null) {
        await addStage(parts, store, path);
      } else {
        tell('warning', trans.__('Open the notebook that is to become a stage first.'));
      }
    })
  });
  commands.addCommand(CommandIDs.removeStage, {
    label: trans.__('Remove a Stage…'),
    describedBy: { args: { type: 'object', properties: { stage: text } } },
    isEnabled: args => typeof args.stage === 'string' && refusal() === null,
    execute: unless(refusal, async args => {
      const { store } = himalia;
      if (store) {
        const { removeStage } = await import('./stageDialog');
        await removeStage({ himalia, commands, trans }, store, String(args.stage));
      }
    })
  });
}
