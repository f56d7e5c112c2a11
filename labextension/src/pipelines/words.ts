import { TranslationBundle } from '@jupyterlab/translation';

import type { Run } from '../api/types';

/** The kind of a run in the user's language. */
export function kindWord(kind: string, trans: TranslationBundle): string {
  switch (kind) {
    case 'pipeline':
      return trans.__('pipeline');
    case 'notebook':
      return trans.__('notebook');
    case 'verification':
      return trans.__('verification');
    default:
      return kind;
  }
}

/** How a run was asked to go about it; empty when as usual. */
export function optionWords({ options }: Pick<Run, 'options'>, trans: TranslationBundle): string {
  if (!options) {
    return '';
  }
  const { only, from, to, force, keep_going: going, parallel, timeout } = options;
  const words = [
    only.length > 0 && trans.__('only %1', only.join(', ')),
    from.length > 0 && trans.__('from %1', from.join(', ')),
    to.length > 0 && trans.__('to %1', to.join(', ')),
    force && trans.__('all again'),
    going && trans.__('keep going'),
    parallel && trans.__('%1 at a time', parallel),
    timeout && trans.__('at most %1', timeout)
  ];
  return words.filter(Boolean).join(', ');
}
