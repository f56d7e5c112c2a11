import { TranslationBundle } from '@jupyterlab/translation';

import type { Environment } from '../api/types';
import { repeatsManifest } from '../components/repair';
import type { IProjectStore, IQuestion } from '../tokens';

/** What the project's code runs in. */
export const ENVIRONMENT: IQuestion = {
  path: 'environment',
  topics: ['environment.', 'kernel.', 'project.manifest', 'project.file']
};

/** The question about one of the project's environments; null: its own. */
export function questionOf(name: string | null): IQuestion {
  return name === null ? ENVIRONMENT : { ...ENVIRONMENT, path: `environment${chosen(name, '?')}` };
}

/** The part of an address that names one of the project's environments; nothing for its own. */
export function chosen(name: string | null, before: '?' | '&'): string {
  return name === null ? '' : `${before}environment=${encodeURIComponent(name)}`;
}

/** The project's environment, as far as it is known. */
export function environmentOf(store: IProjectStore | null): Environment | null {
  return store?.part<Environment>(ENVIRONMENT).value ?? null;
}

/** Whether nothing is known of what is asked for, since the manifest cannot be read. */
export function awaitsManifest(store: IProjectStore, { state, error }: Environment): boolean {
  return state === 'failed' && repeatsManifest(store.project, error);
}

/** Whether a build has failed, and not that none could begin. */
export function failedToBuild({ state, error, build }: Environment): boolean {
  return state === 'failed' && build?.state === 'failed' && build.error === error;
}

/** Whether a kernel runs with an environment that the project no longer has. */
export function isOutdated(store: IProjectStore | null, kernel: string | undefined): boolean {
  return kernel !== undefined && (environmentOf(store)?.kernels_outdated.includes(kernel) ?? false);
}

/** The beginning of a digest, enough to tell two apart; what is no digest stays. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:([0-9a-f]{8}).*$/, '$1');
}

/** The environment's state in the user's language. */
export function environmentWord(environment: Environment, trans: TranslationBundle): string {
  return environment.state === 'failed' && !failedToBuild(environment)
    ? trans.__('cannot be built')
    : stateWord(environment.state, trans);
}

/** A state of an environment in the user's language. */
export function stateWord(state: Environment['state'], trans: TranslationBundle): string {
  switch (state) {
    case 'shared':
      return trans.__('the site’s own');
    case 'none':
      return trans.__('not built');
    case 'building':
      return trans.__('being built');
    case 'ready':
      return trans.__('ready');
    case 'failed':
      return trans.__('build failed');
    case 'outdated':
      return trans.__('outdated');
  }
}

/** The state word whose shape and colour stand for it. */
export function environmentState(state: Environment['state']): string {
  switch (state) {
    case 'shared':
      return 'ready';
    case 'none':
      return 'pending';
    case 'building':
      return 'starting';
    case 'outdated':
      return 'lost';
    default:
      return state;
  }
}
