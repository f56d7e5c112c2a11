import { TranslationBundle } from '@jupyterlab/translation';

import type { Project } from '../api/types';

/** What has to be done before anything else, where the manifest cannot be read; the banner tells the whole of it. */
export function repairFirst(project: Pick<Project, 'missing'>, trans: TranslationBundle): string {
  return project.missing
    ? trans.__('The folder of the project has to be found first.')
    : trans.__('himalia.toml has to be repaired first.');
}

/** Whether an answer of the service repeats what is wrong with the manifest: that is told above, once for all. */
export function repeatsManifest(
  { problem, missing }: Pick<Project, 'problem' | 'missing'>,
  error: string | null
): boolean {
  return problem !== null && (missing || (error?.includes('himalia.toml') ?? false));
}
