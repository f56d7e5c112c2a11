import { PageConfig } from '@jupyterlab/coreutils';

const KEPT = 20;

// Each project has a workspace, and JupyterLab's state database a state for each workspace: what concerns all
// of them is remembered by the browser.
const key = () => `himalia:recent:${PageConfig.getOption('baseUrl')}`;

/** Slugs of the projects that were opened in this browser, the last one first. */
export function recentProjects(): string[] {
  try {
    const known: unknown = JSON.parse(window.localStorage.getItem(key()) ?? '[]');
    return Array.isArray(known) ? known.filter(slug => typeof slug === 'string') : [];
  } catch {
    return []; // storage may be forbidden
  }
}

/** A project is open now. */
export function rememberProject(slug: string): void {
  const slugs = [slug, ...recentProjects().filter(other => other !== slug)].slice(0, KEPT);
  try {
    window.localStorage.setItem(key(), JSON.stringify(slugs));
  } catch {
    return; // the order is a convenience
  }
}

/** Projects in the order of a list to choose from: the recent ones first, others as they come; matching *filter*. */
export function orderProjects<T extends { slug: string; description: string }>(
  projects: readonly T[],
  recent: readonly string[],
  filter: string
): T[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = projects.filter(project => {
    const text = `${project.slug} ${project.description}`.toLowerCase();
    return words.every(word => text.includes(word));
  });
  const position = (project: T) => {
    const index = recent.indexOf(project.slug);
    return index < 0 ? recent.length : index;
  };
  return matches
    .map((project, index) => ({ project, index }))
    .sort((a, b) => position(a.project) - position(b.project) || a.index - b.index)
    .map(({ project }) => project);
}
