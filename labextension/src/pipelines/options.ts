import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { RunOptions } from '../api/types';

/** How a run goes about it, as the arguments of a command say. */
export function readOptions(args: ReadonlyPartialJSONObject): Partial<RunOptions> {
  const options: Partial<RunOptions> = {};
  for (const key of ['only', 'from', 'to'] as const) {
    const stages = readNames(args[key]);
    if (stages.length > 0) {
      options[key] = stages;
    }
  }
  for (const key of ['force', 'keep_going'] as const) {
    if (args[key] === true) {
      options[key] = true;
    }
  }
  const { parallel } = args;
  if (typeof parallel === 'number' && Number.isInteger(parallel) && parallel > 0) {
    options.parallel = parallel;
  }
  return options;
}

function readNames(value: unknown): string[] {
  const all = Array.isArray(value) ? (value as unknown[]) : [value];
  return all.filter((name): name is string => typeof name === 'string' && name !== '');
}
