import { ISignal } from '@lumino/signaling';
import * as React from 'react';

import type { IHimalia, IProjectStore } from '../tokens';

/** Render again whenever *signal* is emitted. */
export function useSignal(signal: ISignal<unknown, unknown> | null | undefined): void {
  const [, render] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    if (!signal) {
      return;
    }
    const slot = () => render();
    signal.connect(slot);
    return () => {
      signal.disconnect(slot);
    };
  }, [signal]);
}

/** Render again whenever the open project changes. */
export function useStore<T extends IProjectStore | null>(store: T): T {
  useSignal(store?.changed);
  return store;
}

/** Render again whenever connection, projects or the choice of the project change. */
export function useHimalia(himalia: IHimalia): IHimalia {
  useSignal(himalia.changed);
  return himalia;
}
