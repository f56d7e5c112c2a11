import { ServerConnection } from '@jupyterlab/services';
import { VDomModel } from '@jupyterlab/ui-components';

import { RequestError, requestAPI } from '../api/request';

/** What the server extension tells about the service of this site. */
export interface IServiceFacts {
  state: 'running' | 'starting' | 'stopped';
  version: string | null;
  site: string | null;
}

/** `unknown` until the first answer, `unreachable` when the server extension does not answer. */
export type ServiceState = IServiceFacts['state'] | 'unknown' | 'unreachable';

/** The service's last known state. It changes only by `refresh` and `start`: nothing polls. */
export class ServiceModel extends VDomModel {
  constructor(private readonly _settings: ServerConnection.ISettings) {
    super();
  }

  get state(): ServiceState {
    return this._state;
  }

  get facts(): IServiceFacts | null {
    return this._facts;
  }

  /** Why the last question failed; null when it did not. */
  get problem(): { message: string; hint: string } | null {
    return this._problem;
  }

  /** Ask how the service is. */
  async refresh(): Promise<void> {
    await this._ask({ method: 'GET' });
  }

  /** Start the service if there is none, and wait until it answers. */
  async start(): Promise<void> {
    this._state = 'starting';
    this.stateChanged.emit();
    await this._ask({ method: 'POST' });
  }

  private async _ask(init: RequestInit): Promise<void> {
    const question = ++this._questions;
    let facts: IServiceFacts | null = null;
    let problem: ServiceModel['problem'] = null;
    try {
      facts = await requestAPI<IServiceFacts>('status', this._settings, init);
    } catch (error) {
      problem = {
        message: error instanceof Error ? error.message : String(error),
        hint: error instanceof RequestError ? error.hint : ''
      };
    }
    if (question !== this._questions || this.isDisposed) {
      return; // a later question will have, or has, the newer answer
    }
    this._facts = facts;
    this._problem = problem;
    this._state = facts ? facts.state : 'unreachable';
    this.stateChanged.emit();
  }

  private _facts: IServiceFacts | null = null;
  private _problem: { message: string; hint: string } | null = null;
  private _questions = 0;
  private _state: ServiceState = 'unknown';
}
