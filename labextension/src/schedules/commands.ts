import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { TranslationBundle } from '@jupyterlab/translation';

import { whyNot } from '../api/roles';
import { CommandIDs } from '../commands';
import { unless } from '../components/notify';
import { Documents } from '../frame/documents';
import type { IHimalia } from '../tokens';
import { scheduleIcon } from './icons';

/** What the room's commands stand on. */
export interface IScheduleParts {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  restorer: ILayoutRestorer | null;
  browser: IFileBrowserFactory | null;
  trans: TranslationBundle;
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

/** Register the room's commands. */
export function addScheduleCommands(parts: IScheduleParts): void {
  const { app, himalia, trans } = parts;
  const { commands } = app;
  const mayWrite = () => whyNot(himalia, 'schedule.write', trans);
  const mayOperate = () => whyNot(himalia, 'schedule.operate', trans);
  commands.addCommand(CommandIDs.schedule, {
    label: args => (args.pipeline ? trans.__('Schedule the Pipeline…') : trans.__('Schedule…')),
    caption: () => mayWrite() ?? trans.__('Run the notebook by the clock'),
    icon: scheduleIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: { path: text, schedule: text, pipeline: flag, browser: flag }
      }
    },
    isEnabled: () => mayWrite() === null,
    isVisible: () => himalia.store !== null,
    execute: unless(mayWrite, async args => {
      const { ask } = await import('./ask');
      await ask(parts, args);
    })
  });
  commands.addCommand(CommandIDs.operateSchedule, {
    label: trans.__('Pause, Resume, Run, Update or Delete a Schedule'),
    describedBy: { args: { type: 'object', properties: { name: text, act: text } } },
    isEnabled: args => typeof args.name === 'string' && mayOperate() === null,
    execute: unless(mayOperate, async args => {
      const { store } = himalia;
      if (store) {
        const { operate } = await import('./operate');
        await operate({ himalia, commands, trans }, store, String(args.name), String(args.act));
      }
    })
  });
  addDocument(parts);
  himalia.changed.connect(() => commands.notifyCommandChanged(CommandIDs.schedule));
}

function addDocument({ app, himalia, restorer, trans }: IScheduleParts): void {
  const documents = new Documents(app, 'himalia-schedule', CommandIDs.openSchedule, restorer);
  app.commands.addCommand(CommandIDs.openSchedule, {
    label: trans.__('Open a Schedule'),
    icon: scheduleIcon,
    describedBy: { args: { type: 'object', properties: { name: text, slug: text } } },
    isEnabled: args => typeof args.name === 'string',
    execute: async args => {
      const slug = typeof args.slug === 'string' ? args.slug : himalia.store?.slug;
      const { name } = args;
      if (slug === undefined || typeof name !== 'string') {
        return;
      }
      const { makeScheduleDocument } = await import('./document');
      await documents.open(`${slug}-${name}`, { slug, name }, async () =>
        makeScheduleDocument({ himalia, commands: app.commands, trans, slug, name })
      );
    }
  });
}
