const listeners = new Set<() => void>();
let timer: number | undefined;

function tick(): void {
  if (!document.hidden) {
    listeners.forEach(listener => listener());
  }
}

/**
 * Call *listener* once a minute while the page is visible, and when it becomes so.
 *
 * @returns ends it; one timer serves all
 */
export function everyMinute(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    timer = window.setInterval(tick, 60_000);
    document.addEventListener('visibilitychange', tick);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      timer = undefined;
      document.removeEventListener('visibilitychange', tick);
    }
  };
}
