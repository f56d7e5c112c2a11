import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it, vi } from 'vitest';

import { IProjectStore } from '../../tokens';
import { FrameHost, hindrance } from '../state';

const trans = nullTranslator.load('himalia');
const store = (slug: string) => ({ slug }) as IProjectStore;

function ask(host: Partial<FrameHost>) {
  const acts = { start: vi.fn(), open: vi.fn() };
  const himalia: FrameHost = {
    connection: 'live',
    problem: null,
    store: null,
    deleted: null,
    ...host
  };
  return { state: hindrance(himalia, 'mine', acts, trans), acts };
}

describe('hindrance', () => {
  it('is none while the project can be asked', () => {
    expect(ask({ store: store('mine') }).state).toBeNull();
    expect(ask({ store: store('mine'), connection: 'lost' }).state).toBeNull();
  });

  it('offers to start a service that does not run', () => {
    const { state, acts } = ask({ store: store('mine'), connection: 'stopped' });
    expect(state?.kind).toBe('wait');
    if (state?.kind === 'wait') {
      state.notice.action?.onClick();
    }
    expect(acts.start).toHaveBeenCalledOnce();
  });

  it('offers the project that a page belongs to', () => {
    const { state, acts } = ask({ store: store('other') });
    expect(state?.kind).toBe('gone');
    if (state?.kind === 'gone') {
      state.notice.action?.onClick();
    }
    expect(acts.open).toHaveBeenCalledExactlyOnceWith('mine');
  });

  it('waits while nothing is known', () => {
    for (const connection of ['connecting', 'lost', 'starting'] as const) {
      expect(ask({ connection }).state).toMatchObject({ kind: 'wait', notice: { busy: true } });
    }
  });

  it('tells of a deleted project', () => {
    expect(ask({ deleted: 'mine' }).state).toMatchObject({ kind: 'gone' });
  });
});
