import { Dialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { ReactElement } from 'react';

/** A dialog with a form that stays open until what was entered has been taken. */
export class SubmitDialog extends Dialog<unknown> {
  /**
   * @param submit - does it; false when the form has to be looked at again. It tells faults in the form.
   */
  constructor(
    options: { title: string; body: ReactElement; label: string; trans: TranslationBundle },
    private readonly _submit: () => Promise<boolean>
  ) {
    super({
      title: options.title,
      body: ReactWidget.create(options.body),
      buttons: [
        Dialog.cancelButton({ label: options.trans.__('Cancel') }),
        Dialog.okButton({ label: options.label })
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
    this._busy = true;
    try {
      if (await this._submit()) {
        super.resolve(index);
      }
    } finally {
      this._busy = false;
    }
  }

  private _busy = false;
}
