import { PageConfig } from '@jupyterlab/coreutils';

/** Names of JupyterLab workspaces that are never a project's. */
const NO_PROJECT = ['', 'default'];

/** What the address asks for a project by. */
const QUESTION = 'himalia-project';

/** The name of this page's JupyterLab workspace; empty when it is none that could be a project's. */
export function workspaceName(): string {
  const name = PageConfig.getOption('workspace');
  return NO_PROJECT.includes(name) ? '' : name;
}

/** The project that the page's address asks for (`?himalia-project=…`). */
export function askedFor(search: string): string {
  return new URLSearchParams(search).get(QUESTION) ?? '';
}

/** Whether the page's address names a notebook, which JupyterLab opens by itself. */
export function asksForNotebook(): boolean {
  return PageConfig.getOption('treePath').endsWith('.ipynb');
}

/**
 * The address of a project's workspace, with its folder in the file browser, or with one of its files open.
 *
 * JupyterLab brings a second tab of a workspace to a new one ("auto-x"), but keeps the question: it names the project
 * there.
 */
export function projectUrl(slug: string, path: string | null): string {
  const url = PageConfig.getUrl({
    mode: 'multiple-document',
    workspace: slug,
    treePath: path ?? ''
  });
  return `${url}?${new URLSearchParams({ [QUESTION]: slug }).toString()}`;
}

/**
 * A folder as the file browser names it.
 *
 * @param root - the absolute path that the file browser shows as its root
 * @returns null when it lies elsewhere
 */
export function below(root: string, path: string): string | null {
  const base = trimmed(root);
  const folder = trimmed(path);
  if (folder === base) {
    return '';
  }
  return folder.startsWith(`${base}/`) ? folder.slice(base.length + 1) : null;
}

function trimmed(path: string): string {
  return path.replace(/\\/g, '/').replace(/\/+$/, '');
}
