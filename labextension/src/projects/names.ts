import { TranslationBundle } from '@jupyterlab/translation';

const SLUG = /^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/;

/** Why a name cannot be a project's, as the service would say; null when it can. */
export function nameFault(
  name: string,
  taken: readonly string[],
  trans: TranslationBundle
): string | null {
  if (taken.includes(name)) {
    return trans.__('You have a project of this name already.');
  }
  if (name === 'default') {
    return trans.__("'default' is JupyterLab's own; choose another name.");
  }
  if (SLUG.test(name)) {
    return null;
  }
  const better = suggestName(name);
  const rule = trans.__('Use 2 to 63 small letters, digits and -.');
  return better ? `${rule} ${trans.__("'%1' would do.", better)}` : rule;
}

/** The nearest name that would do; null when nothing is left of it. */
export function suggestName(name: string): string | null {
  const candidate = name
    .toLowerCase()
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return SLUG.test(candidate) && candidate !== 'default' ? candidate : null;
}

/** *name*, or with a number when it is taken. */
export function freeName(name: string, taken: readonly string[]): string {
  let candidate = name;
  for (let number = 2; taken.includes(candidate); number += 1) {
    candidate = `${name}-${number}`;
  }
  return candidate;
}

/** What is said of a folder that does not begin at the root. */
export function pathFault(trans: TranslationBundle): string {
  return trans.__('Give the whole path of the folder: it begins with /.');
}
