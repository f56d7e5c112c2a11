import {
  ILabShell,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';

import { CommandIDs } from '../commands';
import { Documents } from '../frame/documents';
import { asksForDocument, workspaceName } from '../service/place';
import { IHimalia, ISidebar } from '../tokens';
import { addProjectCommands } from './commands';

import { preferProjectKernel } from './defaultKernel';
import { PIPELINES_GUIDE, PROJECTS_GUIDE } from './example';
import { followFolder } from './followFolder';
import { rememberProject } from './recent';
import { Sections } from './sections';
import { Sidebar } from './sidebar';

const FOLDED = 'himalia:folded';
const RANK = 501;

/** Projects and the sidebar. */
export const projectsPlugin: JupyterFrontEndPlugin<ISidebar> = {
  id: 'himalia:projects',
  description: "Himalia's sidebar with the project switcher; makes and opens projects.",
  autoStart: true,
  requires: [IHimalia],
  provides: ISidebar,
  optional: [
    ITranslator,
    ILabShell,
    ILayoutRestorer,
    IStateDB,
    ICommandPalette,
    ILauncher,
    ISettingRegistry
  ],
  activate
};

function activate(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  translator: ITranslator | null,
  labShell: ILabShell | null,
  restorer: ILayoutRestorer | null,
  state: IStateDB | null,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  settings: ISettingRegistry | null
): ISidebar {
  const trans = (translator ?? nullTranslator).load('himalia');
  const sections = new Sections();
  if (labShell) {
    addPanel(app, himalia, sections, labShell, restorer, trans);
  }
  const sidebar: ISidebar = {
    add: section => sections.add(section),
    reveal: id => {
      if (id) {
        sections.want(id);
      }
      labShell?.activateById('himalia-sidebar');
    }
  };
  const documents = new Documents(app, 'himalia-projects', CommandIDs.allProjects, restorer);
  const hasSidebar = labShell !== null;
  addProjectCommands({ app, himalia, sidebar, hasSidebar, documents, trans });
  addEntries(palette, launcher, trans);
  let prefers = true;
  void settings?.load(projectsPlugin.id).then(own => {
    const apply = () => (prefers = own.get('projectKernel').composite !== false);
    own.changed.connect(apply);
    apply();
  });
  preferProjectKernel(himalia, app.serviceManager.kernelspecs, () => prefers);
  if (state) {
    void keepFolds(sections, state);
  }
  welcome(app, himalia, state);
  himalia.ended.connect((_, { project }) => {
    void import('./kernels').then(({ endKernels }) => endKernels(app, project, trans));
  });
  if (labShell) {
    followFolder(app, himalia);
  }
  return sidebar;
}

function addPanel(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  sections: Sections,
  labShell: ILabShell,
  restorer: ILayoutRestorer | null,
  trans: TranslationBundle
): void {
  const panel = new Sidebar(trans, async () => {
    const { makePanel } = await import('./panel');
    return makePanel({ himalia, sections, commands: app.commands, trans });
  });
  labShell.add(panel, 'left', { rank: RANK });
  restorer?.add(panel, panel.id);
}

function addEntries(
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  trans: TranslationBundle
): void {
  const category = trans.__('Himalia');
  for (const command of [
    CommandIDs.openExample,
    CommandIDs.newProject,
    CommandIDs.openProject,
    CommandIDs.allProjects,
    CommandIDs.cloneProject,
    CommandIDs.exportProject,
    CommandIDs.archiveProject,
    CommandIDs.deleteProject,
    CommandIDs.openManifest,
    CommandIDs.showSidebar,
    CommandIDs.openGuide
  ]) {
    palette?.addItem({ command, category, args: { isPalette: true } });
  }
  for (const guide of [PROJECTS_GUIDE, PIPELINES_GUIDE]) {
    palette?.addItem({ command: CommandIDs.openGuide, category, args: { isPalette: true, guide } });
  }
  launcher?.add({ command: CommandIDs.newProject, category, rank: 30 });
  launcher?.add({ command: CommandIDs.allProjects, category, rank: 40 });
}

/** Sections that were folded stay so. */
async function keepFolds(sections: Sections, state: IStateDB): Promise<void> {
  const folded = await state.fetch(FOLDED);
  if (Array.isArray(folded)) {
    sections.restore(folded.filter(id => typeof id === 'string'));
  }
  let last = JSON.stringify(sections.folded);
  sections.changed.connect(() => {
    const now = JSON.stringify(sections.folded);
    if (now !== last) {
      last = now;
      void state.save(FOLDED, [...sections.folded]);
    }
  });
}

/** A project is open: remember it; the first time in its workspace, show what there is. */
function welcome(app: JupyterFrontEnd, himalia: IHimalia, state: IStateDB | null): void {
  let welcomed: string | null = null;
  himalia.changed.connect(() => {
    const slug = himalia.store?.slug ?? null;
    if (slug === welcomed) {
      return;
    }
    welcomed = slug;
    if (slug !== null) {
      rememberProject(slug);
      if (state && workspaceName() === slug) {
        void app.restored.then(() => showFirst(app, himalia, state, slug));
      }
    }
  });
}

async function showFirst(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  state: IStateDB,
  slug: string
): Promise<void> {
  const key = `himalia:seen:${slug}`;
  if ((await state.fetch(key)) === true) {
    return;
  }
  await state.save(key, true);
  const store = himalia.store?.slug === slug ? himalia.store : null;
  const folder = store && !store.project.missing ? store.contentsPath : null;
  if (folder !== null && !asksForDocument()) {
    const goTo = 'filebrowser:go-to-path';
    await app.commands
      .execute(goTo, { path: folder, dontShowBrowser: true })
      .catch(() => undefined);
  }
  await app.commands.execute(CommandIDs.showSidebar);
  // who asked for a notebook wants to see that one; and who has begun to work is not called back
  const isOpen = [...app.shell.widgets('main')].some(({ id }) => id.startsWith('himalia-overview'));
  if (!isOpen && !asksForDocument() && app.commands.hasCommand(CommandIDs.openOverview)) {
    await app.commands.execute(CommandIDs.openOverview);
  }
}
