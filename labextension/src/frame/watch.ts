import { DisposableDelegate, IDisposable } from '@lumino/disposable';

import { IHimalia, IProjectStore } from '../tokens';

/** Call *callback* whenever anything that rooms look at changes: the connection, the open project, what is in it. */
export function watchStore(himalia: IHimalia, callback: () => void): IDisposable {
  let store: IProjectStore | null = null;
  const follow = () => {
    if (store !== himalia.store) {
      store?.changed.disconnect(callback);
      store = himalia.store;
      store?.changed.connect(callback);
    }
  };
  const onChanged = () => {
    follow();
    callback();
  };
  himalia.changed.connect(onChanged);
  follow();
  return new DisposableDelegate(() => {
    himalia.changed.disconnect(onChanged);
    store?.changed.disconnect(callback);
  });
}
