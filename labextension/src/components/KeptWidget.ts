import { ReactWidget } from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import { ReactElement } from 'react';

import { keepFocus } from './keepFocus';

/** A widget of React in which the keyboard's focus is not lost when what had it goes. */
export class KeptWidget extends ReactWidget {
  constructor(private readonly _content: ReactElement) {
    super();
  }

  protected render(): ReactElement {
    return this._content;
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._release = keepFocus(this.node);
  }

  protected onBeforeDetach(message: Message): void {
    this._release?.();
    super.onBeforeDetach(message);
  }

  private _release?: () => void;
}
