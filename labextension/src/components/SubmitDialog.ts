import { Dialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { ReactElement } from 'react';

/** What the dialog shows. */
export interface ISubmitOptions {
  title: string;
  body: ReactElement;
  label: string;
  /** What the button that closes it says while it is being done, when it goes on then. */
  leave?: string;
  trans: TranslationBundle;
}

/** A dialog with a form that stays open until what was entered has been taken. */
export class SubmitDialog extends Dialog<unknown> {
  /**
   * @param submit - does it; false when the form has to be looked at again. It tells faults in the form.
   */
  constructor(
    private readonly _options: ISubmitOptions,
    private readonly _submit: () => Promise<boolean>
  ) {
    super({
      title: _options.title,
      body: ReactWidget.create(_options.body),
      buttons: [
        Dialog.cancelButton({ label: _options.trans.__('Cancel') }),
        Dialog.okButton({ label: _options.label })
      ],
      focusNodeSelector: 'input'
    });
    this.addClass('jp-Himalia-dialog');
  }

  /** A button was pressed: the first one gives up, the other one submits. */
  resolve(index?: number): void {
    if (index === 0) {
      super.resolve(0);
    } else if (!this._busy) {
      void this._try(index);
    }
  }

  private async _try(index: number | undefined): Promise<void> {
    this._setBusy(true);
    try {
      if (await this._submit()) {
        super.resolve(index);
      }
    } finally {
      this._setBusy(false);
    }
  }

  private _setBusy(busy: boolean): void {
    this._busy = busy;
    this.node
      .querySelector('.jp-Dialog-button.jp-mod-accept')
      ?.setAttribute('aria-disabled', String(busy));
    const { leave, trans } = this._options;
    const cancel = this.node.querySelector('.jp-Dialog-button.jp-mod-reject');
    const label = cancel?.querySelector('.jp-Dialog-buttonLabel');
    if (leave !== undefined && cancel && label) {
      label.textContent = busy ? leave : trans.__('Cancel');
      cancel.setAttribute('aria-label', label.textContent);
    }
  }

  private _busy = false;
}
