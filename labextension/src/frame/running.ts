import { IRunningSessionManagers, IRunningSessions } from '@jupyterlab/running';
import { Signal } from '@lumino/signaling';

import { tell } from '../components/notify';
import type { IHimalia, IProjectStore } from '../tokens';

/** One kind of running thing of the open project. */
export interface IRunningKind<T> {
  name: string;
  items(store: IProjectStore): readonly T[];
  show(item: T): IRunningSessions.IRunningItem;
  /** End one; tells by itself when that fails. */
  end(item: T): Promise<unknown>;
  /** What the button says that ends one, and all. */
  endLabel: string;
  endAllLabel: string;
  /** Why none can be ended now, by this user say; null when one can. */
  refusal(): string | null;
  /** Asked before all are ended. */
  confirm(slug: string): string;
}

/** Add a kind to JupyterLab's list of running things; events keep it up to date. */
export function addRunning<T>(
  managers: IRunningSessionManagers,
  himalia: IHimalia,
  kind: IRunningKind<T>
): void {
  const changed = new Signal<object, void>(himalia);
  let store: IProjectStore | null = null;
  const emit = () => changed.emit();
  himalia.changed.connect(() => {
    if (store !== himalia.store) {
      store?.changed.disconnect(emit);
      store = himalia.store;
      store?.changed.connect(emit);
      emit();
    }
  });
  const items = () => (himalia.store ? kind.items(himalia.store) : []);
  const endAll = () => {
    const reason = kind.refusal();
    if (reason === null) {
      void Promise.all(items().map(item => kind.end(item)));
    } else {
      tell('warning', reason);
    }
  };
  managers.add({
    name: kind.name,
    running: () => {
      const mayEnd = kind.refusal() === null; // JupyterLab shows no button for what has no way to be ended
      return items().map(item => ({
        ...kind.show(item),
        ...(mayEnd ? { shutdown: () => void kind.end(item) } : {})
      }));
    },
    shutdownAll: endAll,
    refreshRunning: () => undefined, // events tell
    runningChanged: changed,
    shutdownLabel: kind.endLabel,
    shutdownAllLabel: kind.endAllLabel,
    shutdownAllConfirmationText: () => kind.confirm(himalia.store?.slug ?? '')
  });
}
