import { IRunningSessionManagers, IRunningSessions } from '@jupyterlab/running';
import { Signal } from '@lumino/signaling';

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
  const tell = () => changed.emit();
  himalia.changed.connect(() => {
    if (store !== himalia.store) {
      store?.changed.disconnect(tell);
      store = himalia.store;
      store?.changed.connect(tell);
      tell();
    }
  });
  const items = () => (himalia.store ? kind.items(himalia.store) : []);
  managers.add({
    name: kind.name,
    running: () =>
      items().map(item => ({ ...kind.show(item), shutdown: () => void kind.end(item) })),
    shutdownAll: () => void Promise.all(items().map(item => kind.end(item))),
    refreshRunning: () => undefined, // events tell
    runningChanged: changed,
    shutdownLabel: kind.endLabel,
    shutdownAllLabel: kind.endAllLabel,
    shutdownAllConfirmationText: () => kind.confirm(himalia.store?.slug ?? '')
  });
}
