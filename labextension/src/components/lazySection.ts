import * as React from 'react';

/** A section of the sidebar whose code is loaded when it is first shown; nothing stands there until then. */
export function lazySection<P extends object>(
  component: React.LazyExoticComponent<React.ComponentType<P>>,
  props: P
): React.ReactElement {
  return React.createElement(
    React.Suspense,
    { fallback: null },
    React.createElement(component as unknown as React.ComponentType<P>, props)
  );
}
