import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { ActionButton, KeptWidget, useHimalia, useSignal, useStore } from '../components';
import type { IHimalia, IProjectStore } from '../tokens';
import { Banner } from './banner';
import { EXAMPLE } from './example';
import { showProjectMenu } from './projectMenu';
import { Sections } from './sections';
import { SectionView } from './sectionView';
import { ProjectList, Switcher } from './switcher';

/** What the panel shows and calls. */
export interface IPanelProps {
  himalia: IHimalia;
  sections: Sections;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The sidebar's content. */
export function makePanel(props: IPanelProps): KeptWidget {
  const widget = new KeptWidget(<SidebarPanel {...props} />);
  widget.addClass('jp-Himalia-panel');
  return widget;
}

/** Switcher, banner, and the sections of the open project, or what to do when there is none. */
export function SidebarPanel(props: IPanelProps): React.ReactElement {
  const { himalia, commands, trans } = props;
  const { connection, projects, deleted } = useHimalia(props.himalia);
  const store = useStore(himalia.store);
  useSignal(props.sections.changed);
  useOwnCommands(commands);
  const execute = (command: string, args?: Record<string, string>) =>
    void commands.execute(command, args);
  const first = connection === 'live' && projects?.length === 0 && !store && !deleted;
  const hasExample = projects?.some(({ slug }) => slug === EXAMPLE) ?? false;
  const list = {
    projects: projects ?? [],
    current: store?.slug ?? null,
    trans,
    onOpen: (slug: string) => execute(CommandIDs.openProject, { slug })
  };
  return (
    <>
      {store && projects && (
        <Switcher
          {...list}
          onNew={() => execute(CommandIDs.newProject)}
          onAll={() => execute(CommandIDs.allProjects)}
          onMenu={button => showProjectMenu(commands, store.slug, 'open', button)}
          onExample={hasExample ? undefined : () => execute(CommandIDs.openExample)}
        />
      )}
      <Banner himalia={himalia} store={store} commands={commands} trans={trans} />
      {first && <FirstScreen execute={execute} trans={trans} />}
      {!store && projects && !first && (
        <div className="jp-Himalia-choose">
          <h2>{trans.__('Projects')}</h2>
          {projects.length > 0 && <ProjectList {...list} />}
          <ActionButton
            label={trans.__('New project…')}
            onClick={() => execute(CommandIDs.newProject)}
          />
          <ActionButton
            label={trans.__('All projects')}
            onClick={() => execute(CommandIDs.allProjects)}
          />
          {!hasExample && (
            <ActionButton
              label={trans.__('Open the example')}
              onClick={() => execute(CommandIDs.openExample)}
            />
          )}
        </div>
      )}
      {store && <SectionList {...props} store={store} />}
    </>
  );
}

function FirstScreen(props: {
  execute: (command: string) => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const { execute, trans } = props;
  return (
    <div className="jp-Himalia-first">
      <p>
        {trans.__(
          'A project is a folder of notebooks that run as a pipeline, with its own cluster, tracked results and models.'
        )}
      </p>
      <ActionButton
        primary
        label={trans.__('Open the example')}
        onClick={() => execute(CommandIDs.openExample)}
      />
      <ActionButton
        label={trans.__('New project')}
        onClick={() => execute(CommandIDs.newProject)}
      />
    </div>
  );
}

function SectionList(props: IPanelProps & { store: IProjectStore }): React.ReactElement {
  const { sections, commands, store } = props;
  const list = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    const wanted = sections.takeWanted();
    if (wanted) {
      const section = list.current?.querySelector(`[data-section="${CSS.escape(wanted)}"]`);
      section?.scrollIntoView({ block: 'nearest' });
      section?.querySelector<HTMLElement>('.jp-Himalia-fold')?.focus();
    }
  });
  return (
    <div className="jp-Himalia-sections" ref={list}>
      {sections.items.map(section => (
        <SectionView
          key={section.id}
          section={section}
          store={store}
          folded={sections.isFolded(section.id)}
          commands={commands}
          trans={props.trans}
          onFold={folded => sections.fold(section.id, folded)}
        />
      ))}
    </div>
  );
}

/** Render again when a command of ours was added or changed: the heads' buttons are commands. */
function useOwnCommands(commands: CommandRegistry): void {
  const [, render] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const slot = (_: CommandRegistry, change: CommandRegistry.ICommandChangedArgs) => {
      if (change.id?.startsWith('himalia:')) {
        render();
      }
    };
    commands.commandChanged.connect(slot);
    return () => {
      commands.commandChanged.disconnect(slot);
    };
  }, [commands]);
}
