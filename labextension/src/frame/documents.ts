import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { ReadonlyJSONObject } from '@lumino/coreutils';
import { Widget } from '@lumino/widgets';

/** Documents of one kind in the main area: each open once, and again after a reload. */
export class Documents {
  /**
   * @param kind - begins the ids, and names the kind in the restored layout
   * @param command - opens a document, given the arguments that `open` got
   */
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _kind: string,
    command: string,
    restorer: ILayoutRestorer | null
  ) {
    this._tracker = new WidgetTracker<MainAreaWidget>({ namespace: _kind });
    void restorer?.restore(this._tracker, {
      command,
      args: widget => this._args.get(widget.id) ?? {},
      name: widget => widget.id
    });
  }

  /**
   * Show a document; it is made when it is not open yet.
   *
   * @param key - what tells it from others of its kind
   * @param args - the command's arguments that open it again
   */
  async open(
    key: string,
    args: ReadonlyJSONObject,
    create: () => Promise<MainAreaWidget<Widget>>
  ): Promise<MainAreaWidget<Widget>> {
    const id = `${this._kind}-${key}`;
    const making = this._made.get(id) ?? this._make(id, create);
    this._made.set(id, making);
    const widget = await making;
    this._args.set(id, args);
    if (widget.isAttached) {
      void this._tracker.save(widget);
    } else {
      this._app.shell.add(widget, 'main');
      await this._tracker.add(widget);
    }
    this._app.shell.activateById(id);
    return widget;
  }

  /** Remember other arguments for an open document: they open it again after a reload. */
  remember(widget: MainAreaWidget<Widget>, args: ReadonlyJSONObject): void {
    this._args.set(widget.id, args);
    void this._tracker.save(widget);
  }

  private async _make(
    id: string,
    create: () => Promise<MainAreaWidget<Widget>>
  ): Promise<MainAreaWidget<Widget>> {
    try {
      const widget = await create();
      widget.id = id;
      widget.disposed.connect(() => {
        this._made.delete(id);
        this._args.delete(id);
      });
      return widget;
    } catch (error) {
      this._made.delete(id);
      throw error;
    }
  }

  private readonly _args = new Map<string, ReadonlyJSONObject>();
  private readonly _made = new Map<string, Promise<MainAreaWidget<Widget>>>();
  private readonly _tracker: WidgetTracker<MainAreaWidget>;
}
