import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import { formatAgo, formatBytes, formatDuration, shortId } from '../format';
import { hasEnded, stateShape, stateWord } from '../states';

const trans = nullTranslator.load('himalia');

describe('durations', () => {
  it.each([
    [0.42, '0.4 s'],
    [9.96, '10 s'],
    [59.4, '59 s'],
    [59.6, '1 min 0 s'],
    [3600, '1 h 0 min'],
    [-3, '0.0 s']
  ])('of %d seconds are %s', (seconds, text) => {
    expect(formatDuration(seconds, trans)).toBe(text);
  });
});

describe('sizes', () => {
  it.each([
    [512, '512 B'],
    [1536, '1.5 KiB'],
    [2 * 1024 ** 3, '2 GiB'],
    [150 * 1024 ** 2, '150 MiB']
  ])('of %d bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('ages', () => {
  it.each([
    [0, 'just now'],
    [-5, 'just now'],
    [90, '1 min ago'],
    [7200, '2 h ago'],
    [86_400, '1 day ago'],
    [3 * 86_400, '3 days ago']
  ])('of %d seconds are %s', (seconds, text) => {
    expect(formatAgo(10_000_000, 10_000_000 + seconds, trans)).toBe(text);
  });
});

describe('states', () => {
  it('of all kinds have a word', () => {
    expect(stateWord('upstream_failed', trans)).toBe('not run');
    expect(stateWord('some_new_state', trans)).toBe('some new state');
  });

  it('tell a cluster that runs from a run that goes on', () => {
    expect([stateShape('running'), stateShape('running', true)]).toEqual(['spinner', 'check']);
  });

  it('end or go on', () => {
    expect(['succeeded', 'lost', 'running', 'pending'].map(hasEnded)).toEqual([
      true,
      true,
      false,
      false
    ]);
  });
});

it('a run is known by the end of its id', () => {
  expect(shortId('1a2038101f80048c750')).toBe('c750');
});
