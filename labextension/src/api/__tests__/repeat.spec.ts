import { ServerConnection } from '@jupyterlab/services';
import { describe, expect, it } from 'vitest';

import { allItems } from '../pages';
import { creates, once } from '../repeat';
import { RequestError } from '../request';

const lost = new ServerConnection.NetworkError(new TypeError('Failed to fetch'));

/** Sends that fail with these errors, one after the other, and then succeed; keys and pauses are noted. */
function sender(...errors: Error[]) {
  const keys: string[] = [];
  const pauses: number[] = [];
  const wait = (milliseconds: number) => Promise.resolve(void pauses.push(milliseconds));
  const send = (headers: Record<string, string>) => {
    keys.push(headers['Idempotency-Key']);
    const error = errors.shift();
    return error ? Promise.reject(error) : Promise.resolve('made');
  };
  return { keys, pauses, act: () => once(send, wait) };
}

describe('an act that makes something', () => {
  it.each([
    'projects',
    'templates',
    'projects/a/runs',
    'projects/a/clusters',
    'projects/a/deployments/b/tokens'
  ])('is a POST to the list %s', path => {
    expect(creates('POST', path)).toBe(true);
    expect(creates('GET', path)).toBe(false);
  });

  it.each([
    'projects/a/runs/1/cancel',
    'projects/a/deployments/b/predict',
    'service/stop',
    'xprojects'
  ])('is no POST to %s', path => expect(creates('POST', path)).toBe(false));

  it('is sent again with its key when its answer was lost', async () => {
    const { keys, pauses, act } = sender(
      lost,
      new RequestError(503, 'ended'),
      new RequestError(502, '')
    );
    expect(await act()).toBe('made');
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[A-Za-z0-9._:-]{1,64}$/);
    expect([...pauses].sort((a, b) => a - b)).toEqual(pauses);
  });

  it('has another key the next time', async () => {
    const { keys, act } = sender();
    await act();
    await act();
    expect(new Set(keys).size).toBe(2);
  });

  it('is given up after a few tries', async () => {
    const { keys, act } = sender(...Array.from({ length: 10 }, () => lost));
    await expect(act()).rejects.toBe(lost);
    expect(keys).toHaveLength(4);
  });

  it.each([
    new RequestError(409, 'taken'),
    new RequestError(503, 'no service', '', '', 'stopped'),
    new RequestError(500, 'fault')
  ])('is not sent again when it was refused: %s', async error => {
    const { keys, act } = sender(error);
    await expect(act()).rejects.toBe(error);
    expect(keys).toHaveLength(1);
  });
});

describe('a list', () => {
  it('is read to its end', async () => {
    const pages: Record<string, { items: number[]; next: string | null }> = {
      'runs?limit=2': { items: [1, 2], next: 'a b' },
      'runs?limit=2&cursor=a%20b': { items: [3], next: null }
    };
    expect(await allItems(path => Promise.resolve(pages[path]), 'runs?limit=2')).toEqual([1, 2, 3]);
  });

  it('of one page is asked for once', async () => {
    const asked: string[] = [];
    const ask = (path: string) => Promise.resolve({ items: [asked.push(path)] });
    expect(await allItems(ask, 'projects')).toEqual([1]);
    expect(asked).toEqual(['projects']);
  });
});
