/** Time and chance; tests put their own in their place. */
export interface IClock {
  /** Milliseconds since the epoch. */
  now(): number;
  setTimeout(act: () => void, milliseconds: number): number;
  clearTimeout(timer: number): void;
  /** From 0 to 1. */
  random(): number;
}

/** The browser's. */
export const browserClock: IClock = {
  now: () => Date.now(),
  setTimeout: (act, milliseconds) => window.setTimeout(act, milliseconds),
  clearTimeout: timer => window.clearTimeout(timer),
  random: () => Math.random()
};

/**
 * How long to wait before the next try, in milliseconds.
 *
 * The first comes almost at once; the jitter keeps a hundred pages from coming together after a restart.
 */
export function backoff(failures: number, random: number): number {
  if (failures === 0) {
    return 500 * random;
  }
  const longest = Math.min(30_000, 1000 * 2 ** failures);
  return longest * (0.5 + 0.5 * random);
}

/** Timers that are known by name; each runs once at a time. */
export class Timers {
  constructor(private readonly _clock: IClock) {}

  /** Whether a timer waits. */
  has(name: string): boolean {
    return this._timers.has(name);
  }

  /** Have *act* called after *wait* milliseconds, in place of what waited under this name. */
  later(name: string, wait: number, act: () => void): void {
    this.clear(name);
    const timer = this._clock.setTimeout(() => {
      this._timers.delete(name);
      act();
    }, wait);
    this._timers.set(name, timer);
  }

  /** Nothing waits under these names any more. */
  clear(...names: string[]): void {
    for (const name of names) {
      const timer = this._timers.get(name);
      if (timer !== undefined) {
        this._clock.clearTimeout(timer);
        this._timers.delete(name);
      }
    }
  }

  private readonly _timers = new Map<string, number>();
}
