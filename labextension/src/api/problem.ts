import { ServerConnection } from '@jupyterlab/services';
import { nullTranslator, TranslationBundle } from '@jupyterlab/translation';

import type { IProblem } from '../tokens';
import { RequestError } from './request';

/** What an error means to a person. */
export function toProblem(error: unknown, bundle?: TranslationBundle): IProblem {
  const trans = bundle ?? nullTranslator.load('himalia');
  if (error instanceof RequestError) {
    return { message: error.message, hint: error.hint, status: error.status };
  }
  if (error instanceof ServerConnection.NetworkError) {
    return {
      message: trans.__('The Jupyter server does not answer.'),
      hint: trans.__('Check that it still runs and that this machine reaches it; then try again.'),
      technical: error.message,
      status: 0
    };
  }
  return { message: error instanceof Error ? error.message : String(error), hint: '', status: 0 };
}
