import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import type { Member } from '../../api/types';
import { isLastOwner } from '../question';
import { roleHelp, ROLES, roleWord } from '../roles';

const trans = nullTranslator.load('himalia');

describe('members', () => {
  const ada: Member = { user: 'ada', role: 'owner' };
  const bob: Member = { user: 'bob', role: 'viewer' };

  it('keep their last owner, who is told apart from the others', () => {
    expect(isLastOwner([ada, bob], 'ada')).toBe(true);
    expect(isLastOwner([ada, bob], 'bob')).toBe(false);
    expect(isLastOwner([ada, { ...bob, role: 'owner' }], 'ada')).toBe(false);
  });

  it('have roles that say what they allow', () => {
    const texts = ROLES.flatMap(role => [roleWord(role, trans), roleHelp(role, trans)]);
    expect(new Set(texts).size).toBe(2 * ROLES.length);
  });
});
