import { Notification } from '@jupyterlab/apputils';
import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { IHimalia, IProjectStore } from '../../tokens';
import { CommandIDs } from '../../commands';
import { addPipelineCommands } from '../commands';
import { mayPass, untilLive } from '../later';
import { runPipeline } from '../start';

const trans = nullTranslator.load('himalia');
const asked: string[] = [];
let role: string;
let clusters: { items: { name: string; state: string }[] | null };
let made: { id: string; status: string; stages: { status: string }[] };

function parts(slug: string) {
  const store = {
    slug,
    project: { slug, role, stages: [{ name: 'a', cluster: 'local', params: { n: 1 } }] },
    clusters,
    runs: { items: [{ id: 'r', status: 'running', stages: [] }] }
  } as unknown as IProjectStore;
  const himalia = {
    store,
    connection: 'live',
    request: (method: string, path: string) => {
      asked.push(`${method} ${path}`);
      const answer = method === 'GET' ? { items: [{ name: 'local', state: 'running' }] } : made;
      return Promise.resolve(answer);
    }
  } as unknown as IHimalia;
  Object.assign(himalia, { changed: new Signal<object, void>(himalia) });
  return { himalia, commands: new CommandRegistry(), trans };
}

const dialogs = () => document.querySelectorAll('.jp-Dialog').length;

beforeEach(() => {
  asked.length = 0;
  role = 'owner';
  made = { id: '1', status: 'running', stages: [{ status: 'skipped' }] };
  clusters = { items: [{ name: 'local', state: 'running' }] };
});

afterEach(() => Notification.dismiss());

describe('a run', () => {
  it('is started once by a double click', async () => {
    const own = parts('double');
    const runs = await Promise.all([runPipeline(own), runPipeline(own)]);
    await runPipeline(own); // the second click came after the answer
    expect(asked).toEqual(['POST projects/double/runs']);
    expect(runs.filter(Boolean)).toHaveLength(1);
  });

  it('can be started again later, and in other projects', async () => {
    vi.useFakeTimers();
    const own = parts('again');
    await runPipeline(own);
    await runPipeline(parts('third'));
    vi.advanceTimersByTime(1500);
    await runPipeline(own);
    vi.useRealTimers();
    expect(asked.filter(line => line.includes('again'))).toHaveLength(2);
    expect(asked).toHaveLength(3);
  });

  it('tells when there was nothing to do', async () => {
    const told = () => Notification.manager.notifications.map(({ message }) => message);
    await runPipeline(parts('busy'));
    expect(told()).toEqual(['The run 1 of busy has begun.']);
    Notification.dismiss();
    made = { ...made, status: 'succeeded' };
    await runPipeline(parts('idle'));
    expect(told()).toEqual(['Nothing was to be run: all of idle is up to date.']);
  });

  it('does not believe that clusters are missing before they are known', async () => {
    clusters = { items: null };
    await runPipeline(parts('early'));
    expect(asked).toEqual(['GET projects/early/clusters', 'POST projects/early/runs']);
    expect(dialogs()).toBe(0);
  });
});

describe('who may not', () => {
  it.each([
    CommandIDs.runPipeline,
    CommandIDs.runWithParameters,
    CommandIDs.startSweep,
    CommandIDs.cancelRun
  ])('is told why, wherever the button is: %s', async command => {
    role = 'viewer';
    const { himalia, commands } = parts('watched');
    const app = { commands, shell: {} } as never;
    addPipelineCommands({ app, himalia, restorer: null, browser: null, trans });
    await Promise.race([
      commands.execute(command, { run: 'r' }),
      new Promise(resolve => setTimeout(resolve, 50))
    ]);
    const [note] = Notification.manager.notifications;
    expect(note?.message).toMatch(/viewer/);
    expect([asked, dialogs()]).toEqual([[], 0]);
  });
});

describe('what was open when the service did not run', () => {
  it('waits for it', async () => {
    const { himalia } = parts('waiting');
    Object.assign(himalia, { connection: 'stopped' });
    let come = false;
    const waiting = untilLive(himalia).then(() => (come = true));
    (himalia.changed as Signal<object, void>).emit();
    await Promise.resolve();
    expect(come).toBe(false);
    Object.assign(himalia, { connection: 'live' });
    (himalia.changed as Signal<object, void>).emit();
    await waiting;
    expect(come).toBe(true);
  });

  it('is given up when the answer is that it is not there', () => {
    expect([0, 502, 503, 404, 403].map(mayPass)).toEqual([true, true, true, false, false]);
  });
});
