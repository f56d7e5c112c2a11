import { describe, expect, it } from 'vitest';

import type { StageKey } from '../../api/types';
import { keyParts, shortValue } from '../keyParts';

function key(change: Partial<StageKey> = {}): StageKey {
  return {
    key: 'k',
    code: ['a', 'b', 'a'],
    parameters: { n: 1 },
    inputs: { 'rows.csv': 'one' },
    modules: {},
    environment: 'e',
    kernel: 'python3',
    outputs: ['out.json'],
    ...change
  };
}

const differing = (now: StageKey, before: StageKey) =>
  keyParts(now, before)
    .filter(({ change }) => change !== 'same')
    .map(({ kind, name, change }) => [kind, name, change].join(' ').trim());

describe('the parts of a key', () => {
  it('are all there, compared with nothing when there is nothing', () => {
    const parts = keyParts(key(), null);
    expect(parts.map(({ kind }) => kind)).toEqual(
      'code code code parameter input environment kernel outputs'.split(' ')
    );
    expect(parts.every(({ change }) => change === null)).toBe(true);
  });

  it('are the same as those of the same key', () => {
    expect(differing(key(), key())).toEqual([]);
  });

  it('name the cell that is another one, and no other', () => {
    expect(differing(key({ code: ['a', 'x', 'a'] }), key())).toEqual(['code 2 changed']);
    expect(differing(key({ code: ['x', 'a', 'b', 'a'] }), key())).toEqual(['code 1 new']);
    expect(differing(key({ code: ['a', 'b'] }), key())).toEqual(['code  gone']);
  });

  it('name parameters, files and the rest', () => {
    const now = key({
      parameters: { n: 2, m: null },
      inputs: { 'rows.csv': 'two' },
      modules: { 'a.py': 'm' },
      environment: 'f',
      outputs: []
    });
    expect(differing(now, key({ modules: { 'b.py': 'm' } }))).toEqual([
      'parameter n changed',
      'parameter m new',
      'input rows.csv changed',
      'module a.py new',
      'module b.py gone',
      'environment  changed',
      'outputs  changed'
    ]);
  });

  it('show digests by their beginning', () => {
    expect(shortValue(`sha256:${'0123456789abcdef'.repeat(4)}`)).toBe('0123456789');
    expect(shortValue(`packages:${'0123456789abcdef'.repeat(4)}`)).toBe('packages:0123456789');
    expect(shortValue('python3')).toBe('python3');
  });
});
