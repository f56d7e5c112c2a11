import { describe, expect, it, vi } from 'vitest';

import type { IHimalia } from '../../tokens';
import { countKernels, isKernelOf, stopKernels } from '../kernels';

const OWN = 'himalia-1a2b-winter';

/** A Jupyter whose kernels end when they are told to, unless `stuck`. */
function jupyter(stuck = false) {
  let kernels = [
    { id: 'k1', name: OWN },
    { id: 'k2', name: `${OWN}.ir` },
    { id: 'k3', name: `${OWN}-2` },
    { id: 'k4', name: 'python3' }
  ];
  const sessions = [
    { id: 's1', kernel: kernels[0] },
    { id: 's3', kernel: kernels[2] },
    { id: 's0', kernel: null }
  ];
  const end = (id: string | undefined) => {
    if (stuck) {
      return Promise.reject(new Error('it does not end'));
    }
    kernels = kernels.filter(kernel => kernel.id !== id);
    return Promise.resolve();
  };
  const refreshRunning = vi.fn(() => Promise.resolve());
  const services = {
    kernels: { running: () => kernels.values(), refreshRunning, shutdown: vi.fn(end) },
    sessions: {
      running: () => sessions.values(),
      refreshRunning,
      shutdown: vi.fn((id: string) => end(sessions.find(one => one.id === id)?.kernel?.id))
    }
  };
  return { services: services as never, left: () => kernels.map(({ id }) => id) };
}

describe('kernels of a project', () => {
  it('are its own and those of other languages, not those of a project with a longer name', () => {
    const names = [OWN, `${OWN}.ir`, `${OWN}-2`, `${OWN}2`, 'python3'];
    expect(names.map(name => isKernelOf(OWN, name))).toEqual([true, true, false, false, false]);
  });

  it('are counted', async () => {
    const himalia = { projects: [{ slug: 'winter', kernelspec: OWN }] } as unknown as IHimalia;
    const { services } = jupyter();
    expect(await countKernels(services, himalia, 'winter')).toBe(2);
    expect(await countKernels(services, himalia, 'other')).toBe(0);
  });

  it('are shut down with their sessions, and no others', async () => {
    const { services, left } = jupyter();
    await stopKernels(services, OWN);
    expect(left()).toEqual(['k3', 'k4']);
    await stopKernels(services, OWN); // what is done is done
  });

  it('are told of when they go on', async () => {
    const { services } = jupyter(true);
    await expect(stopKernels(services, OWN)).rejects.toThrow('it does not end');
  });
});
