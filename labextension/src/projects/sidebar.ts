import { TranslationBundle } from '@jupyterlab/translation';
import { Message } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';

import { himaliaIcon } from '../icons';

/** The panel at the left. What is in it is made when it is first seen. */
export class Sidebar extends Panel {
  constructor(
    private readonly _trans: TranslationBundle,
    private readonly _make: () => Promise<Widget>
  ) {
    super();
    this.id = 'himalia-sidebar';
    this.title.icon = himaliaIcon;
    this.title.caption = _trans.__('Himalia');
    this.addClass('jp-Himalia-sidebar');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _trans.__('Himalia'));
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
    this.widgets.forEach(note => note.dispose());
    void this._make().then(
      widget => this.addWidget(widget),
      () => {
        this._filled = false; // tried again when it is shown again
        this.addWidget(this._note());
      }
    );
  }

  /** Said when the panel's script could not be loaded. */
  private _note(): Widget {
    const note = new Widget();
    note.addClass('jp-Himalia-first');
    note.node.setAttribute('role', 'alert');
    note.node.textContent = this._trans.__(
      'Himalia could not be loaded: the Jupyter server does not answer. Check that it still runs, then hide this panel and show it again.'
    );
    return note;
  }

  private _filled = false;
}
