import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { allItems } from '../api/pages';
import { at } from '../api/request';
import { whyNot } from '../api/roles';
import type { Component, ComponentPublished } from '../api/types';
import { CommandIDs } from '../commands';
import { notifyProblem, tell, unless } from '../components/notify';
import { Documents } from '../frame/documents';
import type { IHimalia } from '../tokens';

interface IRoom {
  app: JupyterFrontEnd;
  himalia: IHimalia;
  trans: TranslationBundle;
}

const text = { type: 'string' };

/** Register the room's commands; returns those for the palette. */
export function addComponentCommands(
  app: JupyterFrontEnd,
  himalia: IHimalia,
  trans: TranslationBundle,
  restorer: ILayoutRestorer | null
): string[] {
  const room = { app, himalia, trans };
  const mayUse = () => whyNot(himalia, 'component.use', trans);
  const mayPublish = () => whyNot(himalia, 'component.publish', trans);
  app.commands.addCommand(CommandIDs.useComponent, {
    label: trans.__('Use a Component…'),
    caption: () => mayUse() ?? trans.__('Import code that another project has published'),
    describedBy: { args: { type: 'object', properties: { name: text, version: text } } },
    isEnabled: () => mayUse() === null,
    execute: unless(mayUse, args => use(room, args))
  });
  app.commands.addCommand(CommandIDs.leaveComponent, {
    label: trans.__('Stop Using a Component'),
    caption: () => mayUse() ?? trans.__('Its modules can no longer be imported here'),
    describedBy: { args: { type: 'object', properties: { name: text } } },
    isEnabled: () => mayUse() === null,
    execute: unless(mayUse, args => leave(room, String(args['name'])))
  });
  app.commands.addCommand(CommandIDs.publishComponent, {
    label: trans.__('Publish a Component…'),
    caption: () =>
      mayPublish() ?? trans.__('Let other projects import modules of this project’s src/'),
    describedBy: { args: { type: 'object', properties: { name: text } } },
    isEnabled: () => mayPublish() === null,
    execute: unless(mayPublish, args => publish(room, args))
  });
  addDocument(room, restorer);
  const all = [CommandIDs.useComponent, CommandIDs.publishComponent];
  himalia.changed.connect(() => all.forEach(id => app.commands.notifyCommandChanged(id)));
  return all;
}

function addDocument(room: IRoom, restorer: ILayoutRestorer | null): void {
  const { app, himalia, trans } = room;
  const documents = new Documents(app, 'himalia-component', CommandIDs.openComponent, restorer);
  app.commands.addCommand(CommandIDs.openComponent, {
    label: trans.__('Open a Component'),
    caption: trans.__('Versions, what they change, and who uses them'),
    describedBy: {
      args: { type: 'object', properties: { name: text, from: text, to: text } }
    },
    execute: async args => {
      const name = args['name'];
      if (typeof name !== 'string') {
        return;
      }
      const [from, to] = [args['from'], args['to']].map(given =>
        typeof given === 'string' ? given : null
      );
      const { makeComponentDocument } = await import('./document');
      await documents.open(name, { name, from, to }, async () =>
        makeComponentDocument({ himalia, commands: app.commands, trans, name, from, to })
      );
    }
  });
}

async function use(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
  const { himalia, trans } = room;
  const { store } = himalia;
  const chosen =
    typeof args['name'] === 'string'
      ? { name: args['name'], version: String(args['version']) }
      : await choose(room);
  if (!store || !chosen) {
    return;
  }
  const { name, version } = chosen;
  try {
    const path = at('projects', store.slug, 'uses', ...name.split('/'));
    await himalia.request('PUT', path, { version });
  } catch (error) {
    notifyProblem(trans.__('%1 %2 could not be taken into use.', name, version), error, trans);
    return;
  }
  tell(
    'success',
    trans.__(
      '%1 uses %2 %3, from its next kernels and runs on. himalia.toml says so.',
      store.slug,
      name,
      version
    )
  );
}

async function choose(room: IRoom): Promise<{ name: string; version: string } | null> {
  const { himalia, trans } = room;
  const all = await allItems<Component>(path => himalia.request('GET', path), 'components');
  const foreign = all.filter(({ project }) => project !== himalia.store?.slug);
  if (foreign.length === 0) {
    tell(
      'info',
      trans.__(
        'No other project has published a component. Open a project with a folder src/, then: Himalia → Publish a Component…'
      )
    );
    return null;
  }
  const items = foreign.map(({ name, newest }) => `${name} ${newest}`);
  const { button, value } = await InputDialog.getItem({
    title: trans.__('Use a component'),
    label: trans.__('Its modules can then be imported, without installing anything.'),
    items,
    okLabel: trans.__('Use')
  });
  const component = foreign[items.indexOf(value ?? '')];
  return button.accept && component ? { name: component.name, version: component.newest } : null;
}

async function leave(room: IRoom, name: string): Promise<void> {
  const { himalia, trans } = room;
  const { store } = himalia;
  if (!store) {
    return;
  }
  const { button } = await showDialog({
    title: trans.__('Stop using %1?', name),
    body: trans.__(
      'From the next kernels and runs of %1 on, its modules can no longer be imported. himalia.toml is changed.',
      store.slug
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Stop Using It') })
    ]
  });
  if (!button.accept) {
    return;
  }
  try {
    await himalia.request('DELETE', at('projects', store.slug, 'uses', ...name.split('/')));
  } catch (error) {
    notifyProblem(trans.__('%1 is still in use.', name), error, trans);
  }
}

async function publish(room: IRoom, args: ReadonlyPartialJSONObject): Promise<void> {
  const { app, himalia, trans } = room;
  const { store } = himalia;
  if (!store) {
    return;
  }
  const name = typeof args['name'] === 'string' ? args['name'] : null;
  const { askForComponent } = await import('./dialog');
  let made: ComponentPublished | null = null;
  await askForComponent(store, name, trans, async body => {
    const path = at('projects', store.slug, 'components');
    made = await himalia.request<ComponentPublished>('POST', path, body);
  });
  const published = made as ComponentPublished | null;
  if (published) {
    const told = trans.__('%1 %2 is published.', published.name, published.version);
    Notification.emit(
      [told, ...published.warnings].join(' '),
      published.warnings.length > 0 ? 'warning' : 'success',
      { autoClose: published.warnings.length > 0 ? false : 5000 }
    );
    await app.commands.execute(CommandIDs.openComponent, { name: published.name });
  }
}
