import * as React from 'react';

import type * as Layouts from './layout';

/** The layout is loaded when a graph is shown for the first time. */
export function useLayouts(): typeof Layouts | null {
  const [layouts, setLayouts] = React.useState<typeof Layouts | null>(null);
  React.useEffect(() => {
    let wanted = true;
    void import('./layout').then(loaded => wanted && setLayouts(loaded));
    return () => {
      wanted = false;
    };
  }, []);
  return layouts;
}

/** The size of what an element shows, in pixels; 0 until it is shown. */
export function useSize(ref: React.RefObject<HTMLElement>): { width: number; height: number } {
  const [size, setSize] = React.useState({ width: 0, height: 0 });
  React.useEffect(() => {
    const element = ref.current;
    if (!element) {
      return;
    }
    const observer = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = element;
      if (width > 0) {
        setSize(now => (now.width === width && now.height === height ? now : { width, height }));
      }
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref]);
  return size;
}
