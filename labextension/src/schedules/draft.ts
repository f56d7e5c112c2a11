import type { Schedule, ScheduleCreate, SchedulePatch } from '../api/types';

/** What a schedule runs. */
export type Target = ScheduleCreate['target'];

/** A schedule as a form holds it. */
export interface IScheduleDraft {
  name: string;
  /** One of `PRESETS`, or empty for an expression of one's own. */
  preset: string;
  cron: string;
  zone: string;
  catch_up: string;
  overlap: string;
  deadline: string;
  inputs: string;
}

/** Times that are chosen often. */
export const PRESETS = ['@hourly', '30 2 * * *', '0 7 * * 1-5', '0 6 * * 1', '0 5 1 * *'] as const;

/** A new schedule. *zone*: the browser's. */
export function newSchedule(name: string, zone: string): IScheduleDraft {
  const [, cron] = PRESETS;
  return {
    name,
    preset: cron,
    cron,
    zone,
    catch_up: 'last',
    overlap: 'skip',
    deadline: '',
    inputs: ''
  };
}

/** A schedule that is there. */
export function draftOfSchedule(schedule: Schedule): IScheduleDraft {
  const { name, cron, zone, catch_up, overlap, deadline, target } = schedule;
  return {
    name,
    preset: (PRESETS as readonly string[]).includes(cron) ? cron : '',
    cron,
    zone,
    catch_up,
    overlap,
    deadline: deadline === null ? '' : `${deadline}s`,
    inputs: target.kind === 'notebook' ? target.inputs.join('\n') : ''
  };
}

/** A free name, from what is run. */
export function scheduleName(what: string, taken: readonly string[]): string {
  const file = what.split('/').pop() ?? what;
  const words = file
    .replace(/\.ipynb$/i, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 50)
    .replace(/-+$/, '');
  const name = words || 'schedule';
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? name : `${name}-${number}`;
    if (!taken.includes(candidate)) {
      return candidate;
    }
  }
}

/** What the service is asked to make. */
export function toCreate(draft: IScheduleDraft, target: Target): ScheduleCreate {
  return {
    name: draft.name.trim(),
    target,
    cron: draft.cron.trim(),
    zone: draft.zone.trim(),
    catch_up: draft.catch_up.trim(),
    overlap: draft.overlap.trim(),
    deadline: draft.deadline.trim() || null,
    paused: false
  };
}

/** What is to change; empty when nothing is. */
export function toPatch(
  before: Schedule,
  draft: IScheduleDraft,
  target: Target
): Partial<SchedulePatch> {
  const known = draftOfSchedule(before);
  const patch: Partial<SchedulePatch> = {};
  for (const key of ['cron', 'zone', 'catch_up', 'overlap'] as const) {
    if (draft[key].trim() !== known[key]) {
      patch[key] = draft[key].trim();
    }
  }
  if (draft.deadline.trim() !== known.deadline) {
    patch.deadline = draft.deadline.trim() || null;
  }
  if (JSON.stringify(target) !== JSON.stringify(before.target)) {
    patch.target = target;
  }
  return patch;
}
