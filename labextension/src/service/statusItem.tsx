import { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import * as React from 'react';

import { himaliaIcon } from '../icons';
import { ServiceModel } from './model';
import { stateHelp, stateWord } from './words';

/** "Himalia: running" in the status bar; a click shows more. */
export class ServiceStatusItem extends VDomRenderer<ServiceModel> {
  constructor(
    model: ServiceModel,
    private readonly _trans: TranslationBundle,
    private readonly _onClick: () => void
  ) {
    super(model);
    this.id = 'jp-Himalia-service-status';
  }

  protected render(): React.ReactElement {
    const state = this.model?.state ?? 'unknown';
    return (
      <button
        className="jp-Himalia-status"
        data-state={state}
        onClick={this._onClick}
        title={stateHelp(state, this._trans)}
        type="button"
      >
        <himaliaIcon.react tag="span" stylesheet="statusBar" />
        <span>{this._trans.__('Himalia: %1', stateWord(state, this._trans))}</span>
      </button>
    );
  }
}
