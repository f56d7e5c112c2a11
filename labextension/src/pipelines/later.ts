import type { IHimalia } from '../tokens';

/** Whether a fault is of a server that does not answer (now), rather than an answer. */
export function mayPass(status: number): boolean {
  return status === 0 || status >= 500;
}

/** Settled once the page follows the service's events. */
export function untilLive(himalia: Pick<IHimalia, 'connection' | 'changed'>): Promise<void> {
  if (himalia.connection === 'live') {
    return Promise.resolve();
  }
  return new Promise(resolve => {
    const look = () => {
      if (himalia.connection === 'live') {
        himalia.changed.disconnect(look);
        resolve();
      }
    };
    himalia.changed.connect(look);
  });
}
