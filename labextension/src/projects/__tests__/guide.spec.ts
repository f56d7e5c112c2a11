import { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { nullTranslator } from '@jupyterlab/translation';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { RequestError } from '../../api/request';
import type { IHimalia } from '../../tokens';
import { openGuide } from '../guide';

const trans = nullTranslator.load('himalia');
const COPY = {
  title: 'A guide',
  notebook: '/home/ada/work/himalia-guide/a-guide.ipynb',
  created: true,
  project: { slug: 'himalia-guide' }
};

function page(given: { root?: string | null; open?: string | null; refuses?: Error }) {
  const { root = '/home/ada/work', open = null, refuses } = given;
  const himalia = {
    root,
    connection: 'live',
    store: open === null ? null : { slug: open },
    start: vi.fn(() => Promise.resolve()),
    open: vi.fn(() => Promise.resolve()),
    request: vi.fn(() => (refuses ? Promise.reject(refuses) : Promise.resolve(COPY)))
  };
  const execute = vi.fn(() => Promise.resolve());
  const app = { commands: { execute } } as unknown as JupyterFrontEnd;
  const run = () => openGuide({ app, himalia: himalia as unknown as IHimalia, trans }, 'a-guide');
  return { himalia, execute, run };
}

function told(): string {
  return Notification.manager.notifications.map(({ message }) => message).join('\n');
}

describe('openGuide', () => {
  beforeEach(() => Notification.manager.dismiss());

  it('goes to the workspace of its project with the notebook open', async () => {
    const { himalia, execute, run } = page({});
    await run();
    expect(himalia.request).toHaveBeenCalledWith('PUT', 'guides/a-guide', {
      below: '/home/ada/work'
    });
    expect(himalia.open).toHaveBeenCalledWith('himalia-guide', 'himalia-guide/a-guide.ipynb');
    expect(execute).not.toHaveBeenCalled();
  });

  it('opens the notebook where its project is open already', async () => {
    const { execute, run } = page({ open: 'himalia-guide' });
    await run();
    expect(execute).toHaveBeenCalledWith('docmanager:open', {
      path: 'himalia-guide/a-guide.ipynb'
    });
  });

  it('says where it is when the file browser does not show it', async () => {
    const { himalia, run } = page({ root: '/srv/elsewhere' });
    await run();
    expect(himalia.open).not.toHaveBeenCalled();
    expect(told()).toContain(COPY.notebook);
    expect(told()).toContain('himalia project open himalia-guide');
  });

  it('tells a reader who may only look', async () => {
    const refuses = new RequestError(403, 'You may not write himalia on this Jupyter server.');
    const { run } = page({ refuses });
    await run();
    expect(told()).toContain('you may only look');
    expect(told()).toContain('You may not write himalia');
  });
});
