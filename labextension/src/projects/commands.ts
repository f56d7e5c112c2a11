import { Notification } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { DocumentWidget } from '@jupyterlab/docregistry';
import { JupyterFrontEnd } from '@jupyterlab/application';
import type { FileEditor } from '@jupyterlab/fileeditor';
import { addIcon, editIcon, folderIcon, launchIcon } from '@jupyterlab/ui-components';
import { TranslationBundle } from '@jupyterlab/translation';

import { allItems } from '../api/pages';
import { toProblem } from '../api/problem';
import type { Project } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem, tell } from '../components/notify';
import type { Documents } from '../frame/documents';
import { himaliaIcon } from '../icons';
import type { IHimalia, IProblem, ISidebar } from '../tokens';
import { EXAMPLE, FIRST_GUIDE, PIPELINES_GUIDE, PROJECTS_GUIDE } from './example';

import { addLifeCommands } from './lifeCommands';
import type { IProjectDraft } from './projectForm';

/** What the commands stand on. */
export interface IProjectCommandParts {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  sidebar: ISidebar;
  /** Notebook 7 has no place for it. */
  hasSidebar: boolean;
  /** The list of all projects. */
  documents: Documents;
  trans: TranslationBundle;
}

const noArgs = { args: { type: 'object', properties: {} } } as const;

/** Register the commands of the `projects` block. */
export function addProjectCommands(parts: IProjectCommandParts): void {
  const { app, himalia, sidebar, trans } = parts;
  app.commands.addCommand(CommandIDs.openExample, {
    label: trans.__('Open the Example Project'),
    caption: trans.__('Make a project from the example of flight delays, and open it'),
    icon: launchIcon,
    describedBy: noArgs,
    execute: () => openExample(parts)
  });
  app.commands.addCommand(CommandIDs.newProject, {
    label: trans.__('New Project…'),
    caption: trans.__('From a template, a folder, a git repository or an exported file'),
    icon: addIcon,
    describedBy: noArgs,
    execute: () => newProject(parts)
  });
  app.commands.addCommand(CommandIDs.openProject, {
    label: args => (typeof args.slug === 'string' ? trans.__('Open') : trans.__('Open Project…')),
    caption: trans.__('Go to the JupyterLab workspace of a project'),
    icon: folderIcon,
    describedBy: { args: { type: 'object', properties: { slug: { type: 'string' } } } },
    execute: async args => {
      if (typeof args.slug === 'string') {
        await openProject(parts, args.slug);
      } else {
        await chooseProject(parts);
      }
    }
  });
  app.commands.addCommand(CommandIDs.allProjects, {
    label: trans.__('All Projects'),
    caption: trans.__('Also those that are archived or deleted'),
    icon: himaliaIcon,
    describedBy: noArgs,
    execute: async () => {
      const { makeAllProjects } = await import('./allProjects');
      await parts.documents.open('all', {}, async () =>
        makeAllProjects({ himalia, commands: app.commands, trans })
      );
    }
  });
  addLifeCommands(parts);
  app.commands.addCommand(CommandIDs.openManifest, {
    label: trans.__('Open himalia.toml'),
    caption: () =>
      himalia.store
        ? trans.__('The stages, parameters and clusters of the open project')
        : trans.__('Open a project first'),
    icon: editIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: { line: { type: 'integer' }, column: { type: 'integer' } }
      }
    },
    isEnabled: () => himalia.store !== null,
    execute: args => openManifest(parts, Number(args.line), Number(args.column))
  });
  app.commands.addCommand(CommandIDs.showSidebar, {
    label: trans.__('Show Himalia'),
    caption: trans.__("Show Himalia's sidebar"),
    icon: himaliaIcon,
    describedBy: { args: { type: 'object', properties: { section: { type: 'string' } } } },
    isVisible: () => parts.hasSidebar,
    execute: args => sidebar.reveal(typeof args.section === 'string' ? args.section : undefined)
  });
  app.commands.addCommand(CommandIDs.openGuide, {
    label: args => {
      const title =
        args.guide === PROJECTS_GUIDE
          ? trans.__('Many Projects Side by Side')
          : args.guide === PIPELINES_GUIDE
            ? trans.__('Notebooks as a Pipeline')
            : trans.__('From Nothing to a Deployed Model');
      return args.isPalette ? trans.__('Guide: %1', title) : trans.__('Himalia: %1', title);
    },
    caption: trans.__('A notebook of your own that leads through all of it in ten minutes'),
    icon: args => (args.isMenu ? undefined : himaliaIcon),
    describedBy: { args: { type: 'object', properties: { guide: { type: 'string' } } } },
    execute: async args => {
      const { openGuide } = await import('./guide');
      const name = typeof args.guide === 'string' ? args.guide : FIRST_GUIDE;
      await openGuide({ app, himalia, trans }, name);
    }
  });
  himalia.changed.connect(() => app.commands.notifyCommandChanged(CommandIDs.openManifest));
}

async function chooseProject(parts: IProjectCommandParts): Promise<void> {
  const { himalia, trans } = parts;
  try {
    const slug = await askForProject(himalia, trans);
    if (slug) {
      await openProject(parts, slug);
    }
  } catch (error) {
    notifyProblem(trans.__('The projects could not be listed.'), error, trans);
  }
}

async function openProject(parts: IProjectCommandParts, slug: string): Promise<void> {
  try {
    await parts.himalia.open(slug);
  } catch (error) {
    const { trans } = parts;
    notifyProblem(trans.__('The project %1 could not be opened.', slug), error, trans);
  }
}

/** Those that the page knows; a page of Notebook 7 asks. */
async function knownProjects(himalia: IHimalia): Promise<readonly Project[]> {
  if (himalia.projects) {
    return himalia.projects;
  }
  return allItems<Project>(path => himalia.request('GET', path), 'projects');
}

/** A list to choose from, for the palette and the menu. */
async function askForProject(himalia: IHimalia, trans: TranslationBundle): Promise<string | null> {
  const projects = await knownProjects(himalia);
  if (projects.length === 0) {
    tell('info', trans.__('There is no project yet. Make one: Himalia → New Project…'));
    return null;
  }
  const dialog = await import('./chooseDialog');
  return dialog.chooseProject(projects, himalia.store?.slug ?? null, trans);
}

async function openExample(parts: IProjectCommandParts): Promise<void> {
  const { himalia, trans } = parts;
  if (himalia.projects?.some(({ slug }) => slug === EXAMPLE)) {
    return openProject(parts, EXAMPLE);
  }
  const id = Notification.emit(trans.__('Making the example project…'), 'in-progress', {
    autoClose: false
  });
  try {
    await himalia.request<Project>('POST', 'projects', { name: EXAMPLE, template: EXAMPLE });
  } catch (error) {
    Notification.dismiss(id);
    const problem = toProblem(error, trans);
    const taken = problem.status === 409;
    return taken
      ? newProject(parts, { template: EXAMPLE, name: `${EXAMPLE}-2` }, problem)
      : notifyProblem(trans.__('The example could not be made.'), error, trans);
  }
  Notification.dismiss(id);
  await openProject(parts, EXAMPLE);
}

async function newProject(
  parts: IProjectCommandParts,
  wish: Partial<IProjectDraft> = {},
  problem: IProblem | null = null
): Promise<void> {
  const { trans } = parts;
  try {
    const { makeProject } = await import('./projectDialog');
    const project = await makeProject(
      parts,
      wish,
      problem,
      (draft, why) => void newProject(parts, draft, why)
    );
    if (project) {
      await openProject(parts, project.slug);
    }
  } catch (error) {
    notifyProblem(trans.__('No project can be made now.'), error, trans);
  }
}

/** Open the manifest, with the cursor at a place of it (both from 1) when one is given. */
async function openManifest(
  parts: IProjectCommandParts,
  line: number,
  column: number
): Promise<void> {
  const { app, himalia, trans } = parts;
  const store = himalia.store;
  if (!store) {
    return;
  }
  if (store.contentsPath === null) {
    Notification.warning(
      trans.__(
        'The folder of this project, %1, lies outside of what this JupyterLab shows. Start JupyterLab there, or with --ServerApp.root_dir, to edit its files.',
        store.project.path
      ),
      { autoClose: false }
    );
    return;
  }
  const path = PathExt.join(store.contentsPath, 'himalia.toml');
  const opened: unknown = await app.commands.execute('docmanager:open', {
    path,
    factory: 'Editor'
  });
  if (line >= 1 && opened instanceof DocumentWidget) {
    await opened.context.ready;
    const { editor } = opened.content as Partial<FileEditor>;
    const position = { line: line - 1, column: Math.max(0, (column || 1) - 1) };
    editor?.setCursorPosition(position);
    editor?.revealPosition(position);
    editor?.focus();
  }
}
