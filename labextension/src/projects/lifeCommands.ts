import { TranslationBundle } from '@jupyterlab/translation';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { Action, refusedBy } from '../api/roles';
import { CommandIDs } from '../commands';
import { notifyProblem, tell } from '../components/notify';
import type { IHimalia } from '../tokens';
import type { IProjectCommandParts } from './commands';
import { projectPath } from './life';

const describedBy = {
  args: { type: 'object', properties: { slug: { type: 'string' } } }
} as const;

interface ILifeCommand {
  id: string;
  label: string;
  caption: string;
  action: Action | null;
  act(slug: string): Promise<void>;
}

/** Register the commands on a project's life; each is about the open project, or the one named by `slug`. */
export function addLifeCommands(parts: IProjectCommandParts): void {
  const { app, himalia, trans } = parts;
  for (const command of lifeCommands(parts)) {
    const refusal = (args: ReadonlyPartialJSONObject) => whyNotOf(himalia, command, args, trans);
    app.commands.addCommand(command.id, {
      label: command.label,
      caption: args => refusal(args) ?? command.caption,
      describedBy,
      isEnabled: args => refusal(args) === null,
      execute: async args => {
        const slug = slugOf(himalia, args);
        const reason = refusal(args);
        if (reason !== null) {
          tell('warning', reason);
        } else if (slug !== null) {
          await command.act(slug);
        }
      }
    });
    himalia.changed.connect(() => app.commands.notifyCommandChanged(command.id));
  }
}

function lifeCommands(parts: IProjectCommandParts): ILifeCommand[] {
  const { trans } = parts;
  return [
    {
      id: CommandIDs.openProjectTab,
      label: trans.__('Open in a New Browser Tab'),
      caption: trans.__('Two tabs can hold two projects'),
      action: null,
      act: async slug => {
        const { projectUrl } = await import('../service/place');
        window.open(projectUrl(slug, null), '_blank', 'noopener');
      }
    },
    {
      id: CommandIDs.cloneProject,
      label: trans.__('Clone Project…'),
      caption: trans.__('A copy of its code under another name'),
      action: 'project.export',
      act: async slug => {
        const { cloneProject } = await import('./copyDialogs');
        await cloneProject(parts, slug);
      }
    },
    {
      id: CommandIDs.exportProject,
      label: trans.__('Export Project…'),
      caption: trans.__('One file that opens on another site'),
      action: 'project.export',
      act: async slug => {
        const { exportProject } = await import('./copyDialogs');
        await exportProject(parts, slug);
      }
    },
    {
      id: CommandIDs.archiveProject,
      label: trans.__('Archive Project…'),
      caption: trans.__('Stop what runs in it, and hide it'),
      action: 'project.archive',
      act: async slug => {
        const { archiveProject } = await import('./deleteDialog');
        await archiveProject(parts, slug);
      }
    },
    {
      id: CommandIDs.unarchiveProject,
      label: trans.__('Bring Back from the Archive'),
      caption: trans.__('Show it again, with its endpoints'),
      action: 'project.archive',
      act: slug => ask(parts, 'POST', slug, 'unarchive', trans.__('It is still archived.'))
    },
    {
      id: CommandIDs.deleteProject,
      label: trans.__('Delete Project…'),
      caption: trans.__('It can be restored for 30 days'),
      action: 'project.delete',
      act: async slug => {
        const { deleteProject } = await import('./deleteDialog');
        await deleteProject(parts, slug);
      }
    },
    {
      id: CommandIDs.moveProject,
      label: trans.__('Folder Was Moved…'),
      caption: trans.__('Say where the project’s folder is now'),
      action: 'project.move',
      act: async slug => {
        const { moveProject } = await import('./copyDialogs');
        await moveProject(parts, slug);
      }
    },
    {
      id: CommandIDs.purgeProject,
      label: trans.__('Remove for Good…'),
      caption: trans.__('It cannot be restored then'),
      action: 'project.delete',
      act: async slug => {
        const { purgeProject } = await import('./deleteDialog');
        await purgeProject(parts, slug);
      }
    },
    {
      id: CommandIDs.restoreProject,
      label: trans.__('Restore'),
      caption: trans.__('Bring the project back as it was'),
      action: 'project.delete',
      act: slug => ask(parts, 'POST', slug, 'restore', trans.__('It is still deleted.'))
    }
  ];
}

function slugOf(himalia: IHimalia, args: ReadonlyPartialJSONObject): string | null {
  return typeof args.slug === 'string' ? args.slug : (himalia.store?.slug ?? null);
}

function whyNotOf(
  himalia: IHimalia,
  { action }: ILifeCommand,
  args: ReadonlyPartialJSONObject,
  trans: TranslationBundle
): string | null {
  const slug = slugOf(himalia, args);
  if (slug === null) {
    return trans.__('Open a project first.');
  }
  if (himalia.connection === 'stopped') {
    return trans.__('Himalia’s service does not run. Start it first.');
  }
  const role = himalia.projects?.find(project => project.slug === slug)?.role;
  return action !== null && role !== undefined ? (refusedBy(role, action, trans) ?? null) : null;
}

/** Have something done to a project; says what did not happen when it was not. */
export async function ask(
  { himalia, trans }: Pick<IProjectCommandParts, 'himalia' | 'trans'>,
  method: 'POST' | 'DELETE',
  slug: string,
  act: string,
  failure: string
): Promise<void> {
  try {
    await himalia.request(method, projectPath(slug, act));
  } catch (error) {
    notifyProblem(failure, error, trans);
  }
}
