import type { Run } from '../api/types';
import { hasEnded } from '../components/states';

/** Where a stage's bar lies, in parts of the run's whole time (0 to 1). */
export interface IBar {
  left: number;
  width: number;
  /** Of the time before it began: from the run's begin on. */
  wait: number;
}

/** The least that is drawn, so that a short stage can be seen. */
const LEAST = 0.006;

/**
 * The bars of a run's stages, by stage; null for a stage that was not begun and does not wait any more.
 *
 * @param now - UTC seconds, for what has not ended
 */
export function bars(run: Run, now: number): Map<string, IBar | null> {
  const { from, to } = span(run, now);
  const whole = Math.max(to - from, 0.001);
  return new Map(
    run.stages.map(stage => {
      if (stage.started_at === null) {
        const waits = run.started_at !== null && !hasEnded(stage.status);
        return [stage.name, waits ? { left: 0, width: 0, wait: clamp((to - from) / whole) } : null];
      }
      const end = stage.ended_at ?? Math.max(now, stage.started_at);
      const left = clamp((stage.started_at - from) / whole);
      const width = Math.min(Math.max((end - stage.started_at) / whole, LEAST), 1 - left);
      return [stage.name, { left, width, wait: left }];
    })
  );
}

/** From the run's begin to its end, or to now. */
export function span(run: Run, now: number): { from: number; to: number } {
  const from = run.started_at ?? run.created_at;
  const ends = run.stages.map(stage => stage.ended_at ?? 0);
  const to = run.ended_at ?? Math.max(now, ...ends);
  return { from, to: Math.max(to, from) };
}

function clamp(part: number): number {
  return Math.min(Math.max(part, 0), 1);
}
