import { ServerConnection } from '@jupyterlab/services';
import { UUID } from '@lumino/coreutils';

import { RequestError } from './request';

/** Pauses before an act is sent again, in milliseconds; a service that was killed is back within them. */
const PAUSES = [500, 2000, 5000];

const CREATES =
  /(^|\/)(projects|templates|clusters|runs|deployments|tokens|components|environment|clone|sweeps|schedules|verifications|resume|run)$/;

/** Whether a request makes something that a repetition must not make twice. */
export function creates(method: string, path: string): boolean {
  return method === 'POST' && CREATES.test(path);
}

/**
 * Send an act with a key of its own, and again with the same key when its answer was lost: the service does it once.
 *
 * @param send - sends it with these headers
 * @param wait - resolves after so many milliseconds
 */
export async function once<T>(
  send: (headers: Record<string, string>) => Promise<T>,
  wait: (milliseconds: number) => Promise<void>
): Promise<T> {
  const headers = { 'Idempotency-Key': UUID.uuid4() };
  for (const pause of PAUSES) {
    try {
      return await send(headers);
    } catch (error) {
      if (!isLost(error)) {
        throw error;
      }
    }
    await wait(pause);
  }
  return send(headers);
}

/** Nobody knows whether it was done, or somebody will be able to do it soon. */
function isLost(error: unknown): boolean {
  return (
    error instanceof ServerConnection.NetworkError ||
    (error instanceof RequestError &&
      [502, 503, 504].includes(error.status) &&
      error.service !== 'stopped')
  );
}
