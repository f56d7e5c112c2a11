import type { ManifestEdit } from '../api/types';

/** What a hint of the service says to write into himalia.toml. */
const LINE =
  /write `(\w+) = (\[[^`]*\])` under `\[stages\.((?:"(?:[^"\\]|\\.)*")|[A-Za-z0-9_-]+)\]`/;

/** The change of himalia.toml that a hint names, so that one click makes it; null when it names none. */
export function editOfHint(hint: string | null): ManifestEdit | null {
  const match = hint && LINE.exec(hint);
  if (!match) {
    return null;
  }
  const [, key, list, name] = match;
  try {
    const value = JSON.parse(list) as unknown;
    const stage = name.startsWith('"') ? (JSON.parse(name) as string) : name;
    return { op: 'set', path: ['stages', stage, key], value };
  } catch {
    return null; // words that only look like it
  }
}
