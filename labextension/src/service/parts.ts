import { ILabShell, JupyterFrontEnd } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { IStateDB } from '@jupyterlab/statedb';
import { TranslationBundle } from '@jupyterlab/translation';

import { toProblem } from '../api/problem';
import { NAMESPACE, requestAPI, RequestError } from '../api/request';
import type { Project } from '../api/types';
import { browserClock } from './clock';
import type { IServiceFacts } from './protocol';
import type { IHimaliaParts } from './himalia';
import { askedFor, projectUrl, workspaceName } from './place';

const REMEMBERED = 'himalia:project';

/** The browser, the Jupyter server and JupyterLab, as `Himalia` needs them. */
export function browserParts(
  app: JupyterFrontEnd,
  labShell: ILabShell | null,
  state: IStateDB | null,
  trans: TranslationBundle
): IHimaliaParts {
  const settings = app.serviceManager.serverSettings;
  return {
    look: () => requestAPI<IServiceFacts>('status', settings),
    start: () => requestAPI<IServiceFacts>('status', settings, sending('POST', {})),
    wake: () => requestAPI('v1/projects', settings),
    open: after => new settings.WebSocket(eventsUrl(settings, after)),
    explain: error => ({
      ...toProblem(error, trans),
      service: error instanceof RequestError ? error.service : ''
    }),
    hidden: () => document.hidden,
    clock: browserClock,
    request: (method, path, body) => requestAPI(`v1/${path}`, settings, sending(method, body)),
    pageUrl: path => URLExt.join(settings.baseUrl, 'himalia', path),
    choose: projects => choose(projects, state),
    leaveFor: (project, contentsPath) => {
      if (!labShell || workspaceName() === project.slug) {
        return Promise.resolve(false);
      }
      window.location.assign(projectUrl(project.slug, contentsPath));
      return Promise.resolve(true);
    }
  };
}

function sending(method: string, body: unknown): RequestInit {
  return body === undefined
    ? { method }
    : { method, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
}

function eventsUrl(settings: ServerConnection.ISettings, after: number): string {
  const question = new URLSearchParams({ after: String(after) });
  if (settings.appendToken && settings.token) {
    question.set('token', settings.token);
  }
  return `${URLExt.join(settings.wsUrl, NAMESPACE, 'events')}?${question.toString()}`;
}

/** The workspace's own project, or the one asked for in the address, now or before in this workspace. */
async function choose(
  projects: readonly Project[],
  state: IStateDB | null
): Promise<string | null> {
  const known = (slug: unknown): slug is string => projects.some(project => project.slug === slug);
  const asked = askedFor(window.location.search);
  if (known(asked)) {
    void state?.save(REMEMBERED, asked);
    return asked;
  }
  const own = workspaceName();
  if (known(own)) {
    return own;
  }
  const remembered = await state?.fetch(REMEMBERED);
  return known(remembered) ? remembered : null;
}
