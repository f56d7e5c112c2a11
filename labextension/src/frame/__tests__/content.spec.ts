import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { IHimalia } from '../../tokens';
import { FrameContent } from '../content';

let hidden = false;

function show(visible: boolean) {
  hidden = !visible;
  document.dispatchEvent(new Event('visibilitychange'));
}

function frame(live: boolean) {
  const himalia = { connection: 'live', store: null } as unknown as IHimalia;
  Object.assign(himalia, { changed: new Signal(himalia) });
  return new FrameContent({
    himalia,
    trans: nullTranslator.load('himalia'),
    label: 'a page',
    live,
    state: () => ({ kind: 'page', url: 'about:blank#page' })
  });
}

describe('FrameContent', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(document, 'hidden', 'get').mockImplementation(() => hidden);
  });

  afterEach(() => {
    hidden = false;
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it('puts a live page away while nobody can see it, and brings it back', () => {
    const content = frame(true);
    expect(content.node.querySelector('iframe')).not.toBeNull();
    show(false);
    vi.advanceTimersByTime(4_000);
    expect(content.node.querySelector('iframe')).not.toBeNull();
    vi.advanceTimersByTime(2_000);
    expect(content.node.querySelector('iframe')).toBeNull();
    content.refresh(); // something happened meanwhile
    expect(content.node.querySelector('iframe')).toBeNull();
    show(true);
    expect(content.node.querySelector('iframe')).not.toBeNull();
    content.dispose();
  });

  it('keeps a page that holds no connection, and one that is looked at again soon', () => {
    const still = frame(false);
    const live = frame(true);
    show(false);
    vi.advanceTimersByTime(3_000);
    show(true);
    vi.advanceTimersByTime(60_000);
    expect(live.node.querySelector('iframe')).not.toBeNull();
    show(false);
    vi.advanceTimersByTime(60_000);
    expect(still.node.querySelector('iframe')).not.toBeNull();
    [still, live].forEach(content => content.dispose());
  });
});
