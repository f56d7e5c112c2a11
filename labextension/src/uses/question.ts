import type { ComponentUse } from '../api/types';
import type { IQuestion } from '../tokens';

/** What the project uses and publishes. */
export const COMPONENTS: IQuestion = {
  path: 'components',
  topics: ['component.', 'project.manifest', 'project.file']
};

/** The newer version of a component that a project uses; null when it has the newest one. */
export function newer({ version, newest }: ComponentUse): string | null {
  return newest !== null && newest !== version ? newest : null;
}
