import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

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

/** Milliseconds that an answer to what a user did is shown. */
const SHOWN = 6000;

/** Answer what a user did. Without a time, JupyterLab would put it among its notifications and show nothing. */
export function tell(kind: 'info' | 'success' | 'warning', message: string): void {
  Notification[kind](message, { autoClose: SHOWN });
}

/** A command's act that tells why it cannot be done now, if so: `isEnabled` alone stops no caller. */
export function unless(
  refusal: () => string | null,
  act: (args: ReadonlyPartialJSONObject) => Promise<void>
): (args: ReadonlyPartialJSONObject) => Promise<void> {
  return async args => {
    const reason = refusal();
    if (reason === null) {
      await act(args);
    } else {
      tell('warning', reason);
    }
  };
}
