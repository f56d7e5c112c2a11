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

/** What links of notices ask for: a run, down to a cell of one of its stages, or a schedule. */
const LINKS = ['himalia-run', 'himalia-schedule'];

/** The link in an address's question (`himalia-run=flights/0199…/fit/3`); empty without one. */
export function linkIn(search: string): string {
  const asked = new URLSearchParams(search);
  const name = LINKS.find(candidate => asked.get(candidate));
  return name === undefined ? '' : new URLSearchParams({ [name]: asked.get(name)! }).toString();
}

/** The link by which this page was opened; read at once, because JupyterLab changes the address later. */
export const LINK = linkIn(window.location.search);

/** An address without its link. */
export function withoutLink(address: string): string {
  const url = new URL(address);
  LINKS.forEach(name => url.searchParams.delete(name));
  return url.href;
}

/** Whether the page's address names something to show: a notebook, which JupyterLab opens by itself, or a link. */
export function asksForDocument(): boolean {
  return LINK !== '' || PageConfig.getOption('treePath').endsWith('.ipynb');
}

/**
 * The address of a project's workspace, with its folder in the file browser, or with one of its files open, or with
 * what a *link* of `linkIn` names.
 *
 * JupyterLab brings a second tab of a workspace to a new one ("auto-x"), but keeps the question: it names the project
 * there.
 */
export function projectUrl(slug: string, path: string | null, link = ''): string {
  const url = PageConfig.getUrl({
    mode: 'multiple-document',
    workspace: slug,
    treePath: path ?? ''
  });
  const question = new URLSearchParams({ [QUESTION]: slug }).toString();
  return `${url}?${question}${link && `&${link}`}`;
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
