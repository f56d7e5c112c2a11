import { ILabShell, JupyterFrontEnd } from '@jupyterlab/application';
import { StateDB } from '@jupyterlab/statedb';
import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it, vi } from 'vitest';

import { ILeavingParts, makeReadyToLeave } from '../leaving';

function page(isDirty: boolean, silent: boolean): { did: string[]; parts: ILeavingParts } {
  const did: string[] = [];
  const app = {
    commands: { execute: async (id: string) => did.push(id) },
    serviceManager: {
      workspaces: { save: async (name: string) => did.push(`workspace ${name}`) }
    }
  } as unknown as JupyterFrontEnd;
  const parts = {
    app,
    labShell: { saveLayout: () => ({}) } as unknown as ILabShell,
    state: new StateDB(),
    restorer: { save: async () => did.push('layout') },
    resolver: { name: 'flights' },
    status: { isDirty },
    savesSilently: () => silent,
    trans: nullTranslator.load('himalia')
  } as unknown as ILeavingParts;
  return { did, parts };
}

describe('leaving for another project', () => {
  it('writes the layout first', async () => {
    const { did, parts } = page(false, false);
    expect(await makeReadyToLeave(parts)).toBe(true);
    expect(did).toEqual(['layout', 'workspace flights']);
  });

  it('saves what was typed', async () => {
    const { did, parts } = page(true, true);
    expect(await makeReadyToLeave(parts)).toBe(true);
    expect(did[0]).toBe('docmanager:save-all');
  });

  it('stays when the user wants to', async () => {
    const { did, parts } = page(true, false);
    vi.stubGlobal('requestIdleCallback', (act: () => void) => setTimeout(act, 0));
    const leaving = makeReadyToLeave(parts);
    await vi.waitFor(() => expect(document.querySelector('.jp-mod-reject')).not.toBeNull());
    document.querySelector<HTMLElement>('.jp-mod-reject')?.click();
    expect(await leaving).toBe(false);
    expect(did).toEqual([]);
  });
});
