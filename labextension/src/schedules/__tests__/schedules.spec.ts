import { describe, expect, it } from 'vitest';

import type { Schedule } from '../../api/types';
import { draftOfSchedule, newSchedule, scheduleName, Target, toCreate, toPatch } from '../draft';
import { scheduleState } from '../question';
import { wallTime } from '../times';

const options = { only: [], from: [], to: [], force: false, keep_going: false };
const target: Target = { kind: 'pipeline', params: {}, options };

function schedule(change: Partial<Schedule> = {}): Schedule {
  return {
    id: '1',
    name: 'nightly',
    target,
    cron: '30 2 * * *',
    zone: 'Europe/Berlin',
    catch_up: 'last',
    overlap: 'skip',
    deadline: 3600,
    paused: false,
    trouble: null,
    last: null,
    ...change
  } as Schedule;
}

describe('a schedule', () => {
  it('is named after what it runs', () => {
    expect(scheduleName('deep/01 Load.ipynb', [])).toBe('01-load');
    expect(scheduleName('flights', ['flights'])).toBe('flights-2');
  });

  it('is made from the form', () => {
    const draft = { ...newSchedule('n', 'UTC'), cron: ' 5 4 * * * ', deadline: ' ' };
    expect(toCreate(draft, target)).toMatchObject({ cron: '5 4 * * *', deadline: null });
  });

  it('is changed in what was changed alone', () => {
    const before = schedule();
    const draft = draftOfSchedule(before);
    expect(draft.deadline).toBe('3600s');
    expect(toPatch(before, draft, target)).toEqual({});
    expect(toPatch(before, { ...draft, overlap: 'queue(2)', deadline: '' }, target)).toEqual({
      overlap: 'queue(2)',
      deadline: null
    });
    const other: Target = { ...target, params: { fit: { seed: 2 } } };
    expect(toPatch(before, draft, other)).toEqual({ target: other });
  });

  it('has a state', () => {
    expect(scheduleState(schedule())).toBe('ready');
    expect(scheduleState(schedule({ paused: true }))).toBe('paused');
    expect(scheduleState(schedule({ paused: true, trouble: 'no zone' }))).toBe('lost');
    expect(scheduleState(schedule({ last: { run_status: 'failed' } as never }))).toBe('failed');
    const queued = { run_status: null, state: 'queued' } as never;
    expect(scheduleState(schedule({ last: queued }))).toBe('waiting');
  });
});

it('shows the time as a clock there does, wherever the browser is', () => {
  expect(wallTime('2026-11-24T02:30+01:00')).toMatch(/2026-11-24 02:30$/);
  expect(wallTime('2026-01-01T23:59-10:00')).toMatch(/2026-01-01 23:59$/);
});
