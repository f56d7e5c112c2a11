/** A part of a list; `next` leads to the following part, and is null at the end. */
export interface IPage<T> {
  items: T[];
  next?: string | null;
}

/**
 * All items of a list, page by page.
 *
 * @param ask - asks for one page
 * @param path - the list's path, with or without a query
 */
export async function allItems<T>(
  ask: (path: string) => Promise<IPage<T>>,
  path: string
): Promise<T[]> {
  const page = await ask(path);
  const items = [...page.items];
  let next = page.next;
  while (typeof next === 'string') {
    const cursor = `cursor=${encodeURIComponent(next)}`;
    const following = await ask(`${path}${path.includes('?') ? '&' : '?'}${cursor}`);
    items.push(...following.items);
    next = following.next;
  }
  return items;
}
