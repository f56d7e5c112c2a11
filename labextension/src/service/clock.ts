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
