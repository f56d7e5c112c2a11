import { TranslationBundle } from '@jupyterlab/translation';
import { Message } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';

import { himaliaIcon } from '../icons';

/** The panel at the left. What is in it is made when it is first seen. */
export class Sidebar extends Panel {
  constructor(
    trans: TranslationBundle,
    private readonly _make: () => Promise<Widget>
  ) {
    super();
    this.id = 'himalia-sidebar';
    this.title.icon = himaliaIcon;
    this.title.caption = trans.__('Himalia');
    this.addClass('jp-Himalia-sidebar');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Himalia'));
  }

  protected onBeforeShow(message: Message): void {
    super.onBeforeShow(message);
    this._fill();
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this._fill();
    }
  }

  private _fill(): void {
    if (this._filled) {
      return;
    }
    this._filled = true;
    void this._make().then(
      widget => this.addWidget(widget),
      (error: unknown) => {
        this._filled = false; // tried again when it is shown again
        throw error;
      }
    );
  }

  private _filled = false;
}
