import type { IPlace } from '../overview/layout';

/** Keys that go from stage to stage. */
export type Arrow = 'ArrowLeft' | 'ArrowRight' | 'ArrowUp' | 'ArrowDown';

/** Whether a key is one of them. */
export function isArrow(key: string): key is Arrow {
  return /^Arrow(Left|Right|Up|Down)$/.test(key);
}

/** The stage that an arrow key leads to: the nearest in its direction, rather straight ahead than aside. */
export function neighbour(
  places: ReadonlyMap<string, IPlace>,
  from: string,
  arrow: Arrow
): string | null {
  const here = places.get(from);
  if (!here) {
    return null;
  }
  const across = arrow === 'ArrowLeft' || arrow === 'ArrowRight';
  const sign = arrow === 'ArrowRight' || arrow === 'ArrowDown' ? 1 : -1;
  let best: { name: string; cost: number } | null = null;
  for (const [name, place] of places) {
    const ahead = sign * (across ? place.x - here.x : place.y - here.y);
    const aside = Math.abs(across ? place.y - here.y : place.x - here.x);
    if (name === from || ahead <= 4) {
      continue;
    }
    const cost = ahead + 2 * aside;
    if (best === null || cost < best.cost) {
      best = { name, cost };
    }
  }
  return best?.name ?? null;
}

/** Bounds of the zoom: smaller cannot be read, larger tells no more. */
const SMALLEST = 0.3;
const LARGEST = 1.5;

/** The zoom at which a graph fits into its frame, both in pixels; never more than life size. */
export function fit(
  graph: { width: number; height: number },
  frame: { width: number; height: number }
): number {
  if (graph.width <= 0 || graph.height <= 0 || frame.width <= 0 || frame.height <= 0) {
    return 1;
  }
  return bound(Math.min(1, frame.width / graph.width, frame.height / graph.height));
}

/** The zoom, one step nearer (1) or farther (-1). */
export function step(zoom: number, direction: 1 | -1): number {
  return bound(direction > 0 ? zoom * 1.25 : zoom / 1.25);
}

function bound(zoom: number): number {
  return Math.min(LARGEST, Math.max(SMALLEST, zoom));
}
