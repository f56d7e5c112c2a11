import { Notification } from '@jupyterlab/apputils';
import { IRunningSessionManagers, IRunningSessions } from '@jupyterlab/running';
import { Signal } from '@lumino/signaling';
import { afterEach, expect, it, vi } from 'vitest';

import type { IHimalia } from '../../tokens';
import { addRunning } from '../running';

afterEach(() => Notification.dismiss());

function manager(refusal: () => string | null, end: (item: string) => Promise<unknown>) {
  const himalia = { store: { slug: 'p' } } as unknown as IHimalia;
  Object.assign(himalia, { changed: new Signal<object, void>(himalia) });
  const added: IRunningSessions.IManager[] = [];
  const managers = { add: (one: IRunningSessions.IManager) => added.push(one) };
  addRunning<string>(managers as unknown as IRunningSessionManagers, himalia, {
    name: 'Things',
    items: () => ['a', 'b'],
    show: item => ({ open: () => undefined, icon: () => undefined as never, label: () => item }),
    end,
    refusal,
    endLabel: 'End',
    endAllLabel: 'End all',
    confirm: slug => slug
  });
  return added[0];
}

it('offers an end to those who may, and tells the others why there is none', () => {
  let reason: string | null = null;
  const end = vi.fn(async (_item: string) => undefined);
  const things = manager(() => reason, end);
  things.running({ mode: 'list' })[0].shutdown?.();
  things.shutdownAll();
  expect(end.mock.calls).toEqual([['a'], ['a'], ['b']]);
  reason = 'You are viewer.';
  expect(things.running({ mode: 'list' }).map(({ shutdown }) => shutdown)).toEqual([
    undefined,
    undefined
  ]);
  things.shutdownAll();
  expect(end).toHaveBeenCalledTimes(3);
  expect(Notification.manager.notifications[0].message).toBe('You are viewer.');
});
