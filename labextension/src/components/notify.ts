import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { toProblem } from '../api/problem';

/**
 * Tell that something asked for could not be done.
 *
 * @param what - what happened ("The run could not be started.")
 */
export function notifyProblem(what: string, error: unknown, trans: TranslationBundle): void {
  const problem = toProblem(error, trans);
  Notification.error([what, problem.message, problem.hint].filter(Boolean).join(' '), {
    autoClose: false
  });
}
