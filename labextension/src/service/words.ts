import { TranslationBundle } from '@jupyterlab/translation';

import { ServiceState } from './model';

/** The state in the user's language. */
export function stateWord(state: ServiceState, trans: TranslationBundle): string {
  switch (state) {
    case 'running':
      return trans.__('running');
    case 'starting':
      return trans.__('starting');
    case 'stopped':
      return trans.__('stopped');
    case 'unreachable':
      return trans.__('not reachable');
    case 'unknown':
      return trans.__('…');
  }
}

/** What the state means for the user, and what can be done. */
export function stateHelp(state: ServiceState, trans: TranslationBundle): string {
  switch (state) {
    case 'running':
      return trans.__('Projects, clusters, runs and deployments are available.');
    case 'starting':
      return trans.__('The service is starting. Ask again in a few seconds.');
    case 'stopped':
      return trans.__('No service runs for this site. Start it to work with projects.');
    case 'unreachable':
      return trans.__(
        "Himalia's extension of the Jupyter server did not answer. Check that it is enabled: jupyter server extension list"
      );
    case 'unknown':
      return trans.__('The service has not answered yet.');
  }
}
