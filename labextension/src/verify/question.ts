import { TranslationBundle } from '@jupyterlab/translation';

import type { StageVerdict, Verification, VerificationList } from '../api/types';
import type { IProjectStore, IQuestion } from '../tokens';

const questions = new Map<string, IQuestion>();

/** The newest verification of a notebook, named as in himalia.toml. */
function questionOf(notebook: string): IQuestion {
  let question = questions.get(notebook);
  if (question === undefined) {
    question = {
      path: `verifications?limit=1&notebook=${encodeURIComponent(notebook)}`,
      topics: ['verification.', 'project.file', 'project.code', 'run.ended']
    };
    questions.set(notebook, question);
  }
  return question;
}

/** The newest verification of a notebook; null: there is none, or none is known yet. */
export function verificationOf(store: IProjectStore, notebook: string): Verification | null {
  return store.part<VerificationList>(questionOf(notebook)).value?.items[0] ?? null;
}

/**
 * The stage of a run that shows what the notebook shows; null when there is none, or when a verification of the
 * notebook as it is now says more.
 */
export function vouchedFor(store: IProjectStore, notebook: string): StageVerdict | null {
  const list = store.part<VerificationList>(questionOf(notebook)).value;
  const newest = list?.items[0];
  const tells = newest?.status === 'running' || (newest?.status === 'ended' && newest.current);
  return tells ? null : (list?.by_stage ?? null);
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
