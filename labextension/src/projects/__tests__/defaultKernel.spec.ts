import { KernelSpec } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import { describe, expect, it } from 'vitest';

import type { IHimalia } from '../../tokens';
import { preferProjectKernel } from '../defaultKernel';

class Manager {
  own = {
    default: 'python3',
    kernelspecs: { python3: {}, 'himalia-1-flights': {} }
  } as unknown as KernelSpec.ISpecModels;
  refreshed = 0;
  readonly specsChanged = new Signal<this, KernelSpec.ISpecModels>(this);

  get specs(): KernelSpec.ISpecModels | null {
    return this.own;
  }

  async refreshSpecs(): Promise<void> {
    this.refreshed += 1;
  }
}

function page(wanted = true): {
  manager: Manager;
  told: string[];
  open: (kernelspec: string | null) => void;
} {
  const manager = new Manager();
  const told: string[] = [];
  manager.specsChanged.connect((_, specs) => told.push(specs.default));
  const himalia = { store: null } as { store: unknown; changed: Signal<object, void> };
  himalia.changed = new Signal<object, void>(himalia);
  const known = manager as unknown as KernelSpec.IManager;
  preferProjectKernel(himalia as unknown as IHimalia, known, () => wanted);
  const open = (kernelspec: string | null) => {
    himalia.store = kernelspec && { slug: kernelspec, project: { kernelspec } };
    himalia.changed.emit();
  };
  return { manager, told, open };
}

describe("the open project's kernel", () => {
  it('is the default on this page, and whoever listens is told', () => {
    const { manager, told, open } = page();
    expect(manager.specs?.default).toBe('python3');
    open('himalia-1-flights');
    expect(manager.specs?.default).toBe('himalia-1-flights');
    expect(manager.specs).toBe(manager.specs); // listeners compare
    expect(told).toEqual(['himalia-1-flights']);
    expect(manager.own.default).toBe('python3');
    open(null);
    expect(manager.specs?.default).toBe('python3');
  });

  it('is asked for when the page does not know it yet', () => {
    const { manager, open } = page();
    open('himalia-1-new');
    expect(manager.specs?.default).toBe('python3');
    expect(manager.refreshed).toBe(1);
  });

  it('is left alone when that is not wanted', () => {
    const { manager, open } = page(false);
    open('himalia-1-flights');
    expect(manager.specs?.default).toBe('python3');
    expect(manager.refreshed).toBe(0);
  });
});
