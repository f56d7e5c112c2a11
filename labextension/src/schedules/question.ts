import type { Schedule, ScheduleList } from '../api/types';
import type { IPart, IProjectStore, IQuestion } from '../tokens';

/** What runs by the clock. */
export const SCHEDULES: IQuestion = {
  path: 'schedules',
  topics: ['schedule.', 'run.created', 'run.ended']
};

/** The project's schedules, as far as they are known. */
export function schedulesOf(store: IProjectStore): IPart<readonly Schedule[]> {
  const { value, problem } = store.part<ScheduleList>(SCHEDULES);
  return { value: value?.items ?? null, problem };
}

/** A schedule as a word of state. */
export function scheduleState({ paused, trouble, last }: Schedule): string {
  if (trouble !== null) {
    return 'lost';
  }
  if (paused) {
    return 'paused';
  }
  return last?.run_status ?? (last?.state === 'queued' ? 'waiting' : 'ready');
}
