import { Notification } from '@jupyterlab/apputils';
import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { Notice } from '../../api/types';
import { linkIn, projectUrl, withoutLink } from '../../service/place';
import type { IHimalia } from '../../tokens';
import { readLink } from '../follow';
import { tell } from '../telling';

const trans = nullTranslator.load('himalia');

describe('a link', () => {
  it.each([
    ['lab?himalia-run=p/0a/fit/3', { slug: 'p', run: '0a', stage: 'fit', cell: 3 }],
    [
      'https://hub/user/ann/lab?himalia-run=p/0a',
      { slug: 'p', run: '0a', stage: null, cell: null }
    ],
    ['lab?himalia-run=p/0a/fit', { slug: 'p', run: '0a', stage: 'fit', cell: null }],
    ['himalia-run=p%2F0a%2Ffit%2F0', { slug: 'p', run: '0a', stage: 'fit', cell: 0 }],
    ['lab?himalia-run=p/0a/two%20words/1', { slug: 'p', run: '0a', stage: 'two words', cell: 1 }],
    ['lab?himalia-schedule=p/nightly', { slug: 'p', schedule: 'nightly' }],
    ['lab?himalia-run=p', null],
    ['lab?himalia-run=p/0a/fit/3/4', null],
    ['lab?himalia-schedule=p/', null],
    ['lab?other=p/0a', null]
  ])('%s is read', (link, target) => {
    expect(readLink(link)).toEqual(target);
  });

  it('goes with the page to the workspace of its project, and out of the address', () => {
    const link = linkIn('?token=1&himalia-run=p/0a/fit/3');
    const url = new URL(projectUrl('p', 'a/p', link));
    expect(linkIn(url.search)).toBe(link);
    expect(url.searchParams.get('himalia-project')).toBe('p');
    expect(withoutLink(url.href)).toBe(projectUrl('p', 'a/p'));
    expect(linkIn('?himalia-run=')).toBe('');
  });
});

describe('notices', () => {
  const himalia = { user: 'ada' } as IHimalia;
  const parts = { himalia, commands: new CommandRegistry(), trans };
  const notice = (id: string, change: Partial<Notice> = {}) =>
    ({
      id,
      kind: 'failure',
      read: false,
      project: 'p',
      text: `nightly failed ${id}.\nRuns: pipeline`,
      error: 'no file',
      link: 'lab?himalia-run=p/0a/fit/3',
      ...change
    }) as Notice;
  const told = () => vi.mocked(Notification.error).mock.calls.map(([message]) => message);

  beforeEach(() => {
    vi.restoreAllMocks();
    window.localStorage.clear();
    vi.spyOn(Notification, 'error').mockImplementation(message => `of ${message}`);
    vi.spyOn(Notification, 'success').mockReturnValue('recovery');
    vi.spyOn(Notification, 'warning').mockReturnValue('together');
    vi.spyOn(Notification, 'dismiss').mockReturnValue(undefined);
  });

  it('are told once, the oldest first, and not those that were read', async () => {
    await tell(parts, [notice('3'), notice('2'), notice('1', { read: true })]);
    await tell(parts, [notice('3'), notice('2')]);
    expect(told()).toEqual(['nightly failed 2. no file', 'nightly failed 3. no file']);
    await tell(parts, [notice('4', { kind: 'recovery' }), notice('3')]);
    expect(Notification.success).toHaveBeenCalledTimes(1);
    expect(told()).toHaveLength(2);
  });

  it('are told to each person, and for each project', async () => {
    await tell(parts, [notice('5')]);
    await tell({ ...parts, himalia: { user: 'ben' } as IHimalia }, [notice('5')]);
    await tell(parts, [notice('4', { project: 'q' })]);
    expect(told()).toHaveLength(3);
  });

  it('are told together when there are many', async () => {
    await tell(
      parts,
      ['9', '8', '7', '6'].map(id => notice(id))
    );
    expect(told()).toEqual([]);
    expect(Notification.warning).toHaveBeenCalledTimes(1);
  });

  it('are taken back when they were read elsewhere', async () => {
    await tell(parts, [notice('a')]);
    await tell(parts, [notice('a', { read: true })]);
    expect(Notification.dismiss).toHaveBeenCalledWith('of nightly failed a. no file');
  });
});
