import { JupyterFrontEnd } from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { StateDB } from '@jupyterlab/statedb';
import { nullTranslator } from '@jupyterlab/translation';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Project } from '../../api/types';
import { browserParts } from '../parts';

const projects = [{ slug: 'flights' }, { slug: 'other' }] as Project[];
const NO_KEEPERS = { restorer: null, resolver: null, status: null, savesSilently: () => true };
let state: StateDB;

function page(
  workspace: string,
  search = '',
  fetch?: ServerConnection.ISettings['fetch']
): ReturnType<typeof browserParts> {
  PageConfig.setOption('workspace', workspace);
  window.history.replaceState({}, '', `/base/lab${search}`);
  const serverSettings = ServerConnection.makeSettings(fetch && { fetch });
  const app = { serviceManager: { serverSettings } } as unknown as JupyterFrontEnd;
  return browserParts(app, null, state, nullTranslator.load('himalia'), NO_KEEPERS);
}

beforeEach(() => {
  state = new StateDB();
});

afterEach(() => {
  PageConfig.setOption('workspace', '');
  window.history.replaceState({}, '', '/');
});

describe('the project of a page', () => {
  it('is that of its workspace', async () => {
    expect(await page('flights').choose(projects)).toBe('flights');
  });

  it('is the one asked for, also when JupyterLab has changed the address since', async () => {
    const second = page('auto-x', '?himalia-project=flights');
    window.history.replaceState({}, '', '/base/lab/workspaces/auto-x');
    expect(await second.choose(projects)).toBe('flights');
    expect(await page('auto-x').choose(projects)).toBe('flights'); // after a reload
  });

  it('is none in a workspace that is no project', async () => {
    expect(await page('mine').choose(projects)).toBeNull();
    expect(await page('mine').missed(projects)).toBeNull();
  });

  it('is missed when it is gone, at every load of its workspace', async () => {
    await page('flights').choose(projects);
    const left = projects.slice(1);
    expect(await page('flights').choose(left)).toBeNull();
    expect(await page('flights').missed(left)).toBe('flights');
    expect(await page('flights').missed(left)).toBe('flights');
  });

  it('is missed once elsewhere', async () => {
    await page('default', '?himalia-project=flights').choose(projects);
    const left = projects.slice(1);
    expect(await page('default').missed(left)).toBe('flights');
    expect(await page('default').missed(left)).toBeNull();
  });
});

describe('a Jupyter server without the extension', () => {
  it('is told as such, with the way out', async () => {
    const parts = page('', '', () =>
      Promise.resolve(new Response('{"message": "Not Found"}', { status: 404 }))
    );
    const problem = await parts.look().catch((error: unknown) => parts.explain(error));
    expect(problem).toMatchObject({ status: 404 });
    expect((problem as { message: string }).message).toMatch(/not enabled/);
  });
});

describe('a question', () => {
  it('is given up when nobody answers, but an act is not: it may take long', async () => {
    vi.spyOn(AbortSignal, 'timeout').mockReturnValue(AbortSignal.abort());
    const aborted: Record<string, boolean> = {};
    const parts = page('', '', request => {
      const { method, signal } = request as Request;
      aborted[method] = signal.aborted;
      return Promise.resolve(new Response('{}'));
    });
    await parts.request('GET', 'projects');
    await parts.request('POST', 'projects', { name: 'x' });
    expect(aborted).toEqual({ GET: true, POST: false });
  });

  it('that makes something carries a key, and the others none', async () => {
    const keys: (string | null)[] = [];
    const parts = page('', '', request => {
      keys.push((request as Request).headers.get('Idempotency-Key'));
      return Promise.resolve(new Response('{}'));
    });
    await parts.request('POST', 'projects/a/runs', {});
    await parts.request('POST', 'projects/a/runs/1/cancel');
    await parts.request('GET', 'projects/a/runs');
    expect(keys).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), null, null]);
  });

  it('is named when somebody wants to follow it, and a file is not taken twice', async () => {
    const headers: Headers[] = [];
    const parts = page('', '', request => {
      headers.push((request as Request).headers);
      return Promise.resolve(new Response('{}'));
    });
    await parts.request('POST', 'projects', {}, 'my-id');
    await parts.upload('project-imports?name=a', new Blob(['zip']));
    expect(headers[0].get('X-Request-ID')).toBe('my-id');
    expect(headers[1].get('Idempotency-Key')).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers[1].get('Content-Type')).toBe('application/octet-stream');
  });
});
