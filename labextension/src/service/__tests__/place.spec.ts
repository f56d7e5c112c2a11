import { describe, expect, it } from 'vitest';

import { askedFor, below, projectUrl } from '../place';

describe('a folder as the file browser names it', () => {
  it.each([
    ['/home/ada', '/home/ada/p', 'p'],
    ['/home/ada/', '/home/ada/a/b/', 'a/b'],
    ['/home/ada', '/home/ada', ''],
    ['/', '/p', 'p'],
    ['/home/ada', '/home/adam/p', null],
    ['/home/ada/p', '/home/ada', null],
    ['C:\\Users\\ada', 'C:\\Users\\ada\\p', 'p']
  ])('%s shows %s as %s', (root, path, name) => {
    expect(below(root, path)).toBe(name);
  });
});

describe('the page of a project', () => {
  it('is its workspace, with its folder', () => {
    const path = (url: string) => new URL(url).pathname;
    expect(path(projectUrl('flights', 'a b/flights'))).toBe(
      '/base/lab/workspaces/flights/tree/a%20b/flights'
    );
    expect(path(projectUrl('flights', null))).toBe('/base/lab/workspaces/flights');
  });

  it('names the project once more, for the workspace that a second tab gets', () => {
    expect(askedFor(new URL(projectUrl('flights', 'a/flights')).search)).toBe('flights');
  });

  it('can be asked for in the address', () => {
    expect(askedFor('?x=1&himalia-project=flights')).toBe('flights');
    expect(askedFor('')).toBe('');
  });
});
