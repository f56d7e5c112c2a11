import { TranslationBundle } from '@jupyterlab/translation';

import type { Connection } from '../tokens';

/** How the page stands to the service, in the user's language. */
export function connectionWord(connection: Connection, trans: TranslationBundle): string {
  switch (connection) {
    case 'live':
      return trans.__('connected');
    case 'starting':
      return trans.__('starting');
    case 'stopped':
      return trans.__('stopped');
    case 'lost':
      return trans.__('not reachable');
    case 'connecting':
      return trans.__('connecting');
    case 'newer':
      return trans.__('newer than this JupyterLab');
    case 'refused':
      return trans.__('not allowed');
  }
}

/** What that means for the user, and what can be done. */
export function connectionHelp(connection: Connection, trans: TranslationBundle): string {
  switch (connection) {
    case 'live':
      return trans.__('Projects, clusters, runs and deployments are available.');
    case 'starting':
      return trans.__('The service is starting; this takes some seconds.');
    case 'stopped':
      return trans.__(
        'No service runs for this site, so nothing of Himalia can be shown or started. Your notebooks work as always.'
      );
    case 'lost':
      return trans.__(
        'The Jupyter server or the service does not answer. What you see may be old; it is tried again by itself.'
      );
    case 'connecting':
      return trans.__('The service has not answered yet.');
    case 'newer':
      return trans.__(
        'The service was upgraded. Restart JupyterLab with the same version of Himalia, then reload this page.'
      );
    case 'refused':
      return trans.__(
        'You are not signed in any more, or may not use Himalia here. Sign in again, or ask who runs this site.'
      );
  }
}
