import { at } from '../api/request';
import type { Project } from '../api/types';

/** Where the service answers on the life of projects. */
export const projectPath = (slug: string, ...more: string[]): string =>
  at('projects', slug, ...more);

/** Where a file becomes a project. */
export function importPath(name: string): string {
  return `project-imports?${new URLSearchParams({ name }).toString()}`;
}

/** In which list a project stands. */
export type Place = 'open' | 'archived' | 'deleted';

/** In which list a project stands. */
export function placeOf(project: Project): Place {
  if (project.trashed_at !== null) {
    return 'deleted';
  }
  return project.archived_at !== null ? 'archived' : 'open';
}

/** Days until a deleted project is removed for good, the begun one too. */
export function daysLeft(project: Project, now: number): number {
  return Math.max(0, Math.ceil(((project.purged_at ?? now) - now) / 86_400));
}
