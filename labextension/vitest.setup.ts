/** What JupyterLab's modules expect of a browser and jsdom does not have. */
import { afterEach } from 'vitest';

class NoObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
  takeRecords(): [] {
    return [];
  }
}

class FakeDragEvent extends MouseEvent {
  readonly dataTransfer = null;
}

Object.assign(globalThis, {
  DragEvent: FakeDragEvent,
  IntersectionObserver: NoObserver,
  ResizeObserver: NoObserver
});
document.queryCommandSupported = () => false;
window.matchMedia = (media: string) =>
  Object.assign(new EventTarget(), {
    matches: false,
    media,
    onchange: null,
    addListener: () => undefined,
    removeListener: () => undefined
  });

const config = document.createElement('script');
config.id = 'jupyter-config-data';
config.type = 'application/json';
config.textContent = JSON.stringify({ baseUrl: '/base/', appUrl: '/lab', token: '' });
document.head.append(config);

afterEach(() => {
  document.body.replaceChildren();
});
