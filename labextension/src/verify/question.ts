import { TranslationBundle } from '@jupyterlab/translation';

import type { Verification } from '../api/types';
import type { IProjectStore, IQuestion } from '../tokens';

const questions = new Map<string, IQuestion>();

/** The newest verification of a notebook, named as in himalia.toml. */
function questionOf(notebook: string): IQuestion {
  let question = questions.get(notebook);
  if (question === undefined) {
    question = {
      path: `verifications?limit=1&notebook=${encodeURIComponent(notebook)}`,
      topics: ['verification.', 'project.file', 'project.code']
    };
    questions.set(notebook, question);
  }
  return question;
}

/** The newest verification of a notebook; null: there is none, or none is known yet. */
export function verificationOf(store: IProjectStore, notebook: string): Verification | null {
  return store.part<{ items: Verification[] }>(questionOf(notebook)).value?.items[0] ?? null;
}

/** The state word of a verification: its shape and colour. */
export function verificationState({ status, verdict, current }: Verification): string {
  if (status === 'running') {
    return 'running';
  }
  if (status !== 'ended') {
    return status;
  }
  if (!current) {
    return 'stale';
  }
  switch (verdict) {
    case 'identical':
    case 'within_tolerance':
      return 'verified';
    case 'not_comparable':
      return 'requested';
    default:
      return 'differs';
  }
}

/** What a verification has found, in words. */
export function verificationWord(found: Verification, trans: TranslationBundle): string {
  const { status, verdict, current, cell, cells, first } = found;
  if (status === 'running') {
    return cells > 0
      ? trans.__('verifying: cell %1 of %2', cell, cells)
      : (found.waiting ?? trans.__('verifying'));
  }
  if (status === 'cancelled') {
    return trans.__('verification cancelled');
  }
  if (status !== 'ended') {
    return trans.__('not verified');
  }
  if (!current) {
    return trans.__('changed since it was verified');
  }
  switch (verdict) {
    case 'identical':
      return trans.__('verified');
    case 'within_tolerance':
      return trans.__('verified, within tolerance');
    case 'not_comparable':
      return trans.__('not comparable');
    case 'failed':
      return trans.__('stops at an error');
    default:
      return first ? trans.__('differs at cell %1', first.number) : trans.__('differs');
  }
}
