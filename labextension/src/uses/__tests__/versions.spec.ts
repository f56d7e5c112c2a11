import { describe, expect, it } from 'vitest';

import type { ComponentUse } from '../../api/types';
import { newer } from '../question';
import { nextVersion } from '../versions';

describe('versions', () => {
  it.each([
    ['1.2', '1.3'],
    ['1.9', '1.10'],
    ['2', '3'],
    ['1.0rc', '1.1rc']
  ])('after %s comes %s', (version, next) => expect(nextVersion(version)).toBe(next));

  it('are newer only when they differ from the one in use', () => {
    const use = (version: string, newest: string | null) =>
      newer({ version, newest } as ComponentUse);
    expect(use('1.0', '1.1')).toBe('1.1');
    expect(use('1.1', '1.1')).toBeNull();
    expect(use('1.1', null)).toBeNull();
  });
});
