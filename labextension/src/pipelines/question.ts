import type { Pipeline, StageStatus } from '../api/types';
import type { IProjectStore, IQuestion } from '../tokens';

/** What a run would do now, stage by stage. */
export const PIPELINE: IQuestion = {
  path: 'pipeline',
  topics: ['run.ended', 'environment.', 'project.manifest', 'project.file', 'project.code']
};

/** What a run would do now with each stage, by its name; empty until it is known. */
export function planOf(store: IProjectStore): ReadonlyMap<string, StageStatus> {
  const { value } = store.part<Pipeline>(PIPELINE);
  return new Map(value?.stages.map(stage => [stage.name, stage]));
}
