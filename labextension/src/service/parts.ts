import { ILabShell, JupyterFrontEnd } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { IStateDB } from '@jupyterlab/statedb';
import { TranslationBundle } from '@jupyterlab/translation';

import { toProblem } from '../api/problem';
import { creates, once } from '../api/repeat';
import { NAMESPACE, requestAPI, RequestError, requestFile } from '../api/request';
import type { Project } from '../api/types';
import { browserClock } from './clock';
import type { IServiceFacts } from './protocol';
import type { IHimaliaParts } from './himalia';
import type { ILeavingParts } from './leaving';
import { askedFor, projectUrl, workspaceName } from './place';

const REMEMBERED = 'himalia:project';

/** Milliseconds until an answer is given up: a browser waits for ever where a network has gone silent. */
const PATIENCE = 60_000;

/** The browser, the Jupyter server and JupyterLab, as `Himalia` needs them. */
export function browserParts(
  app: JupyterFrontEnd,
  labShell: ILabShell | null,
  state: IStateDB | null,
  trans: TranslationBundle,
  keepers: Pick<ILeavingParts, 'restorer' | 'resolver' | 'status' | 'savesSilently'>
): IHimaliaParts {
  const settings = app.serviceManager.serverSettings;
  const asked = askedFor(window.location.search); // JupyterLab changes the address later
  return {
    look: () => look(settings, trans),
    start: () => requestAPI<IServiceFacts>('status', settings, sending('POST', {})),
    wake: () => requestAPI('v1/projects', settings), // may take as long as a start
    open: after => new settings.WebSocket(eventsUrl(settings, after)),
    explain: error => ({
      ...toProblem(error, trans),
      service: error instanceof RequestError ? error.service : ''
    }),
    hidden: () => document.hidden,
    clock: browserClock,
    request: (method, path, body, id) => {
      const named: Record<string, string> = id === undefined ? {} : { 'X-Request-ID': id };
      const ask = (headers?: Record<string, string>) =>
        requestAPI<never>(`v1/${path}`, settings, sending(method, body, { ...headers, ...named }));
      return creates(method, path) ? once(ask, pause) : ask();
    },
    upload: (path, file) => {
      const type = { 'Content-Type': 'application/octet-stream' };
      const send = (headers: Record<string, string>) =>
        requestAPI<never>(`v1/${path}`, settings, {
          method: 'POST',
          body: file,
          headers: { ...headers, ...type }
        });
      return once(send, pause);
    },
    download: path => requestFile(`v1/${path}`, settings),
    pageUrl: path => URLExt.join(settings.baseUrl, 'himalia', path),
    choose: projects => choose(projects, asked, state),
    missed: projects => missed(projects, state),
    leaveFor: async (project, path, link) => {
      if (!labShell || workspaceName() === project.slug) {
        return false;
      }
      const { makeReadyToLeave } = await import('./leaving');
      if (await makeReadyToLeave({ app, labShell, state, trans, ...keepers })) {
        window.location.assign(projectUrl(project.slug, path, link));
      }
      return true;
    }
  };
}

async function look(
  settings: ServerConnection.ISettings,
  trans: TranslationBundle
): Promise<IServiceFacts> {
  try {
    return await requestAPI<IServiceFacts>('status', settings, patient());
  } catch (error) {
    if (error instanceof RequestError && error.status === 404) {
      throw new RequestError(
        404,
        trans.__('This Jupyter server does not know Himalia: its extension is not enabled.'),
        trans.__(
          'Look with: jupyter server extension list. Enable it with: jupyter server extension enable himalia_server.extension; then restart the Jupyter server.'
        )
      );
    }
    throw error;
  }
}

function patient(): RequestInit {
  return { signal: AbortSignal.timeout(PATIENCE) };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => browserClock.setTimeout(resolve, milliseconds));
}

function sending(method: string, body: unknown, headers: Record<string, string> = {}): RequestInit {
  return body === undefined
    ? { method, headers, ...(method === 'GET' && patient()) }
    : {
        method,
        body: JSON.stringify(body),
        headers: { ...headers, 'Content-Type': 'application/json' }
      };
}

function eventsUrl(settings: ServerConnection.ISettings, after: number): string {
  const question = new URLSearchParams({ after: String(after) });
  if (settings.appendToken && settings.token) {
    question.set('token', settings.token);
  }
  return `${URLExt.join(settings.wsUrl, NAMESPACE, 'events')}?${question.toString()}`;
}

/** The project asked for in the address, or the workspace's own, or the one that this workspace showed before. */
async function choose(
  projects: readonly Project[],
  asked: string,
  state: IStateDB | null
): Promise<string | null> {
  const known = (slug: unknown): slug is string => projects.some(project => project.slug === slug);
  const named = [asked, workspaceName()].find(known);
  if (named !== undefined) {
    void state?.save(REMEMBERED, named);
    return named;
  }
  const remembered = await state?.fetch(REMEMBERED);
  return known(remembered) ? remembered : null;
}

/** The project that this workspace showed before, when it is not among these; told once where it has no home. */
async function missed(
  projects: readonly Project[],
  state: IStateDB | null
): Promise<string | null> {
  const before = await state?.fetch(REMEMBERED);
  if (typeof before !== 'string' || projects.some(({ slug }) => slug === before)) {
    return null;
  }
  if (before !== workspaceName()) {
    void state?.remove(REMEMBERED);
  }
  return before;
}
