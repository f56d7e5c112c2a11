import { TranslationBundle } from '@jupyterlab/translation';

import type { Member } from '../api/types';

/** A role that a member can have. */
export type Role = Member['role'];

/** From the weakest to the strongest. */
export const ROLES: readonly Role[] = ['viewer', 'contributor', 'operator', 'approver', 'owner'];

/** What a role is called. */
export function roleWord(role: Role, trans: TranslationBundle): string {
  switch (role) {
    case 'viewer':
      return trans.__('viewer');
    case 'contributor':
      return trans.__('contributor');
    case 'operator':
      return trans.__('operator');
    case 'approver':
      return trans.__('approver');
    case 'owner':
      return trans.__('owner');
  }
}

/** What somebody of that role may do. */
export function roleHelp(role: Role, trans: TranslationBundle): string {
  switch (role) {
    case 'viewer':
      return trans.__('Sees everything of the project, and changes nothing.');
    case 'contributor':
      return trans.__(
        'Works in it: kernels, clusters, runs, packages, components; asks for deployments.'
      );
    case 'operator':
      return trans.__('As a contributor; also names the champion, deploys, and gives keys out.');
    case 'approver':
      return trans.__('As an operator; also approves what others ask for.');
    case 'owner':
      return trans.__('Everything; also members, secrets, archive and delete.');
  }
}
