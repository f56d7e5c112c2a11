import { TranslationBundle } from '@jupyterlab/translation';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long something took: "0.4 s", "12 s", "3 min 5 s", "2 h 10 min". */
export function formatDuration(seconds: number, trans: TranslationBundle): string {
  if (seconds < 9.95) {
    return trans.__('%1 s', Math.max(0, seconds).toFixed(1));
  }
  const whole = Math.round(seconds);
  if (whole < MINUTE) {
    return trans.__('%1 s', whole);
  }
  if (whole < HOUR) {
    return trans.__('%1 min %2 s', Math.floor(whole / MINUTE), whole % MINUTE);
  }
  return trans.__('%1 h %2 min', Math.floor(whole / HOUR), Math.floor((whole % HOUR) / MINUTE));
}

/** A size with a binary unit: "512 B", "1.5 GiB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${Number(value.toFixed(digits))} ${units[unit]}`;
}

/**
 * How long ago something was.
 *
 * @param at - UTC seconds since the epoch
 * @param now - the same, now
 */
export function formatAgo(at: number, now: number, trans: TranslationBundle): string {
  const seconds = now - at;
  if (seconds < MINUTE) {
    return trans.__('just now');
  }
  if (seconds < HOUR) {
    return trans.__('%1 min ago', Math.floor(seconds / MINUTE));
  }
  if (seconds < DAY) {
    return trans.__('%1 h ago', Math.floor(seconds / HOUR));
  }
  if (seconds < 30 * DAY) {
    const days = Math.floor(seconds / DAY);
    return trans._n('%1 day ago', '%1 days ago', days);
  }
  return new Date(at * 1000).toLocaleDateString();
}

/** The exact local time, for titles. */
export function formatExact(at: number): string {
  return new Date(at * 1000).toLocaleString();
}

/** The part of a run's id that people use; the ids' beginnings are all alike. */
export function shortId(id: string): string {
  return id.slice(-4);
}
