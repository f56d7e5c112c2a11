import { TranslationBundle } from '@jupyterlab/translation';

import type { Notice } from '../api/types';
import { readLink } from './follow';

/** What has happened, in a line: the first of what is sent to people. */
export function titleOf({ text }: Notice): string {
  return text.split('\n', 1)[0].trim();
}

/** What the button says that shows what a notice is about. */
export function openLabel(notice: Notice, trans: TranslationBundle): string {
  const target = readLink(notice.link ?? '');
  if (target === null || 'schedule' in target) {
    return trans.__('Open the schedule');
  }
  if (target.cell !== null) {
    return trans.__('Open the failed cell');
  }
  return target.stage !== null ? trans.__('Open the failed notebook') : trans.__('Open the run');
}
