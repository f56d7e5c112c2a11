const FOCUSABLE =
  'button:not([disabled]), a[href], input:not([disabled]), select, summary, [tabindex="0"]';

/**
 * Keep the keyboard where it was when what it was on goes: a button that stands for something that has ended, say.
 * Without it the browser begins anew at the top of the page.
 *
 * @param node - the part of the page to watch
 * @returns ends it
 */
export function keepFocus(node: HTMLElement): () => void {
  let focused: HTMLElement | null = null;
  let parents: HTMLElement[] = [];
  const onFocusIn = (event: FocusEvent) => {
    focused = event.target as HTMLElement;
    parents = ancestors(focused, node);
  };
  const onFocusOut = (event: FocusEvent) => {
    const left = event.target as HTMLElement;
    // a browser may tell of it while the element is being taken away
    queueMicrotask(() => {
      if (left === focused && left.isConnected) {
        focused = null;
      }
    });
  };
  const onChange = () => {
    const nobody = document.activeElement === document.body || document.activeElement === null;
    if (focused === null || focused.isConnected) {
      return;
    }
    focused = null;
    if (nobody) {
      const next = nearest(parents) ?? node;
      if (next === node) {
        node.tabIndex = -1; // nothing else is left in it
      }
      next.focus({ preventScroll: true });
    }
  };
  node.addEventListener('focusin', onFocusIn);
  node.addEventListener('focusout', onFocusOut);
  const observer = new MutationObserver(onChange);
  observer.observe(node, { childList: true, subtree: true });
  return () => {
    observer.disconnect();
    node.removeEventListener('focusin', onFocusIn);
    node.removeEventListener('focusout', onFocusOut);
  };
}

/** What holds an element, from near to far, up to *top*. */
function ancestors(element: HTMLElement, top: HTMLElement): HTMLElement[] {
  const found: HTMLElement[] = [];
  let parent = element.parentElement;
  while (parent && top.contains(parent)) {
    found.push(parent);
    parent = parent.parentElement;
  }
  return found;
}

/** What can have the focus and is nearest to where it was. */
function nearest(parents: readonly HTMLElement[]): HTMLElement | null {
  for (const parent of parents) {
    const candidate = parent.isConnected ? parent.querySelector<HTMLElement>(FOCUSABLE) : null;
    if (candidate) {
      return candidate;
    }
  }
  return null;
}
