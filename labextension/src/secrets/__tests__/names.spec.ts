import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import { nameFault } from '../names';

const trans = nullTranslator.load('himalia');

describe('the name of a secret', () => {
  it('is that of an environment variable', () => {
    expect(['KEY', '_k2', 'a'.repeat(128)].map(name => nameFault(name, trans))).toEqual([
      null,
      null,
      null
    ]);
    expect(nameFault('', trans)).toContain('Give it a name');
    for (const wrong of ['2KEY', 'A-B', 'a/b', 'a b', 'ä', 'a'.repeat(129)]) {
      expect(nameFault(wrong, trans)).toContain('is no name of an environment variable');
    }
  });
});
