import { KernelSpec } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import type { IHimalia } from '../tokens';

/**
 * Make the open project's kernel the default one on this page: first in the launcher, chosen in pickers.
 *
 * The server has one default for all pages, and a page has one project. So the page's own view of the kernelspecs
 * is changed, and nothing that another tab could see.
 */
export function preferProjectKernel(
  himalia: IHimalia,
  manager: KernelSpec.IManager,
  isWanted: () => boolean = () => true
): void {
  const told = manager.specsChanged;
  let slug: string | null = null;
  const wanted = () => (isWanted() ? (himalia.store?.project.kernelspec ?? null) : null);
  const specs = withDefault(manager, wanted);
  himalia.changed.connect(() => {
    const now = himalia.store?.slug ?? null;
    if (now === slug) {
      return;
    }
    slug = now;
    const seen = specs();
    if (seen && told instanceof Signal) {
      (told as Signal<KernelSpec.IManager, KernelSpec.ISpecModels>).emit(seen);
    }
    if (slug !== null && wanted() !== null && seen?.default !== wanted()) {
      void manager.refreshSpecs(); // a project that was made a moment ago
    }
  });
}

/** Replace the manager's `specs` by ones whose default is the wanted kernelspec, if it is among them. */
function withDefault(
  manager: KernelSpec.IManager,
  wanted: () => string | null
): () => KernelSpec.ISpecModels | null {
  const own = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(manager), 'specs');
  const read = (): KernelSpec.ISpecModels | null =>
    (own?.get?.call(manager) as KernelSpec.ISpecModels | null) ?? null;
  let last: { from: KernelSpec.ISpecModels; name: string; specs: KernelSpec.ISpecModels } | null =
    null;
  const get = () => {
    const from = read();
    const name = wanted();
    if (!from || name === null || !(name in from.kernelspecs)) {
      return from;
    }
    if (last?.from !== from || last.name !== name) {
      last = { from, name, specs: { ...from, default: name } };
    }
    return last.specs;
  };
  if (own?.get) {
    Object.defineProperty(manager, 'specs', { configurable: true, get });
  }
  return get;
}
