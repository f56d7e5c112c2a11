import { JupyterFrontEnd } from '@jupyterlab/application';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import { describe, expect, it, vi } from 'vitest';

import type { IHimalia } from '../../tokens';
import { followFolder, leaveFolder } from '../followFolder';

describe('the file browser', () => {
  it('goes where the folder of the open project goes, and nowhere by itself', () => {
    const execute = vi.fn(() => Promise.resolve());
    const himalia = { store: null } as {
      store: unknown;
      changed: Signal<object, void>;
      ended: Signal<object, object>;
    };
    himalia.changed = new Signal<object, void>(himalia);
    himalia.ended = new Signal<object, object>(himalia);
    followFolder(
      { commands: { execute } } as unknown as JupyterFrontEnd,
      himalia as unknown as IHimalia
    );
    const show = (slug: string, contentsPath: string | null, missing = false) => {
      himalia.store = { slug, contentsPath, project: { missing }, changed: new Signal({}) };
      himalia.changed.emit();
    };
    show('a', 'work/a');
    show('b', 'work/b');
    expect(execute).not.toHaveBeenCalled();
    show('b', 'work/new');
    show('b', 'work/new', true);
    show('b', null);
    const paths = (execute.mock.calls as unknown as [string, { path: string }][]).map(
      ([, { path }]) => path
    );
    expect(paths).toEqual(['/work/new', '/']);
  });

  it('leaves a folder that goes away, and stays where it is in any other', async () => {
    const execute = vi.fn(() => Promise.resolve());
    const browser = Object.assign(new Widget(), { model: { path: '' } });
    browser.id = 'filebrowser';
    const app = {
      commands: { execute },
      shell: { widgets: (area: string) => (area === 'left' ? [browser] : []) },
      serviceManager: { contents: { localPath: (path: string) => path.replace(/^\w+:/, '') } }
    } as unknown as JupyterFrontEnd;
    const leave = async (shown: string, folder: string, root: string | null = '/home/ada') => {
      browser.model.path = shown;
      execute.mockClear();
      await leaveFolder(app, { root }, folder);
      return (execute.mock.calls as unknown as [string, { path: string }][])[0]?.[1].path ?? null;
    };
    expect(await leave('work/winter', '/home/ada/work/winter')).toBe('/work');
    expect(await leave('RTC:winter/src', '/home/ada/winter')).toBe('/');
    expect(await leave('winter-2', '/home/ada/winter')).toBeNull();
    expect(await leave('', '/home/ada/winter')).toBeNull();
    expect(await leave('winter', '/elsewhere/winter')).toBeNull();
    expect(await leave('winter', '/home/ada/winter', null)).toBeNull();

    const himalia = { store: null, root: '/home/ada' } as object as Record<string, unknown>;
    const ended = new Signal<object, object>(himalia);
    Object.assign(himalia, { ended, changed: new Signal<object, void>(himalia) });
    followFolder(app, himalia as unknown as IHimalia);
    browser.model.path = 'winter';
    execute.mockClear();
    ended.emit({ project: { path: '/home/ada/winter' }, deleted: false });
    expect(execute).not.toHaveBeenCalled(); // an archived project keeps its folder
    ended.emit({ project: { path: '/home/ada/winter' }, deleted: true });
    expect(execute).toHaveBeenCalledOnce();
  });
});
