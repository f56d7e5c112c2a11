import { PathExt } from '@jupyterlab/coreutils';

import type { ManifestProblem, Project } from '../api/types';
import { below } from '../service/place';
import type { IHimalia, IQuestion } from '../tokens';

/** The name of the file. */
export const MANIFEST = 'himalia.toml';

/** What is wrong with the manifest, alone and beside the project's files. */
export const PROBLEMS: IQuestion = {
  path: 'problems',
  topics: ['project.', 'cluster.', 'environment.', 'component.', 'run.created']
};

/** The answer to it. */
export interface IProblemList {
  items: ManifestProblem[];
}

/** Whether a file of the file browser may be a project's manifest. */
export function isManifest(path: string): boolean {
  return PathExt.basename(path) === MANIFEST;
}

/** The project to which a manifest belongs; null when it is none's. */
export function projectOf(himalia: IHimalia, path: string): Project | null {
  const { root } = himalia;
  const known = himalia.projects ?? [];
  const folder = PathExt.dirname(path);
  return root === null
    ? null
    : (known.find(project => below(root, project.path) === folder) ?? null);
}
