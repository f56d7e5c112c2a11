import { TranslationBundle } from '@jupyterlab/translation';
import { IFrame, ReactWidget } from '@jupyterlab/ui-components';
import { IDisposable } from '@lumino/disposable';
import { Message } from '@lumino/messaging';
import { Panel } from '@lumino/widgets';
import * as React from 'react';

import { IHimalia, IProblem } from '../tokens';
import { Notice } from './notice';
import { FrameState, INotice } from './state';
import { watchStore } from './watch';

/** The status of a page whose server is on its way: it is asked for again when something changes. */
const UNAVAILABLE = 503;

/** Milliseconds that the browser's tab is hidden before a live page is put away. */
const HIDDEN_GRACE = 5_000;

/** What a frame shows, and how it is called. */
export interface IFrameOptions {
  himalia: IHimalia;
  trans: TranslationBundle;
  /** The frame's name, for those who do not see it. */
  label: string;
  /** The page is light whatever JupyterLab's theme is. */
  alwaysLight?: boolean;
  /** The page holds a connection: it is put away while nobody can see the browser's tab. */
  live?: boolean;
  /** Asked again whenever the connection or the open project changes. */
  state(): FrameState;
}

/**
 * A page that the extension forwards, in a frame; or why there is none, until there is.
 *
 * The pages are those of MLflow and Dask: they come from JupyterLab's own address, bring scripts, and have to
 * reach their own server, hence the exceptions from the sandbox.
 */
export class FrameContent extends Panel {
  constructor(private readonly _options: IFrameOptions) {
    super();
    this.addClass('jp-Himalia-frame');
    this.node.tabIndex = -1;
    this.addWidget(this._notice);
    this._watch = watchStore(_options.himalia, () => this.refresh());
    this._connection = _options.himalia.connection;
    window.addEventListener('blur', this._onWindowBlur);
    if (_options.live) {
      document.addEventListener('visibilitychange', this._onVisibility);
    }
    this.refresh();
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    window.removeEventListener('blur', this._onWindowBlur);
    document.removeEventListener('visibilitychange', this._onVisibility);
    window.clearTimeout(this._hiding);
    this._watch.dispose();
    super.dispose();
  }

  /** Ask for the state again, and show it. */
  refresh(): void {
    if (this.isDisposed || this._away) {
      return;
    }
    const state = this._options.state();
    this._stale ||= this._cameBack() || this._fault?.status === UNAVAILABLE;
    if (state.kind === 'page') {
      this._show(state.url);
    } else {
      this._hide(state.notice, state.kind === 'gone');
    }
  }

  /** Load the page anew, where the user is in it. */
  reload(): void {
    this._fault = null;
    this.refresh();
    this._element?.contentWindow?.location.reload();
  }

  /** Go elsewhere within the page: *hash* with its #. */
  protected navigate(hash: string): void {
    const place = this._element?.contentWindow?.location;
    if (place && place.href !== 'about:blank') {
      place.hash = hash;
    }
  }

  /** Show the page, where the user is in it, in a tab of the browser. */
  launch(): void {
    const state = this._options.state();
    if (state.kind === 'page') {
      window.open(this._element?.contentWindow?.location.href ?? state.url, '_blank', 'noopener');
    }
  }

  protected onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    // not the frame itself: it would swallow JupyterLab's shortcuts
    this.node.focus();
  }

  /** Whether the connection has come back after the service or the server was away. */
  private _cameBack(): boolean {
    const before = this._connection;
    const now = this._options.himalia.connection;
    if (now === 'live' || now === 'lost' || now === 'stopped' || now === 'starting') {
      this._connection = now;
    }
    return now === 'live' && before !== 'live' && before !== 'connecting';
  }

  private _show(url: string): void {
    if (!this._frame) {
      this._frame = this._makeFrame();
      this.addWidget(this._frame);
    }
    if (this._url !== url) {
      this._url = url;
      this._fault = null;
      this._frame.url = url;
    } else if (this._stale) {
      this._fault = null;
      this._element?.contentWindow?.location.reload();
    }
    this._stale = false;
    this._tellFault();
  }

  private _hide(notice: INotice, gone: boolean): void {
    if (gone) {
      this._removeFrame();
    }
    this._frame?.hide();
    this._notice.tell(notice, this._options.trans);
  }

  private _removeFrame(): void {
    this._frame?.dispose();
    this._frame = null;
    this._url = '';
  }

  private readonly _onVisibility = () => {
    window.clearTimeout(this._hiding);
    if (document.hidden) {
      this._hiding = window.setTimeout(() => {
        this._away = true;
        this._removeFrame();
      }, HIDDEN_GRACE);
    } else if (this._away) {
      this._away = false;
      this.refresh();
    }
  };

  private _makeFrame(): IFrame {
    const frame = new IFrame({
      sandbox: [
        'allow-scripts',
        'allow-same-origin',
        'allow-forms',
        'allow-modals',
        'allow-popups',
        'allow-downloads'
      ],
      referrerPolicy: 'same-origin'
    });
    frame.toggleClass('jp-mod-light', this._options.alwaysLight === true);
    const element = frame.node.querySelector('iframe')!;
    element.title = this._options.label;
    element.addEventListener('load', () => this._onLoad(element));
    return frame;
  }

  /** The forwarder answers with a problem where there is no page. */
  private _onLoad(element: HTMLIFrameElement): void {
    this._fault = readProblem(element, this._options.trans);
    if (this._options.state().kind === 'page') {
      this._tellFault();
    }
  }

  private _tellFault(): void {
    this._frame?.setHidden(this._fault !== null);
    this._notice.tell(this._fault && this._faultNotice(this._fault), this._options.trans);
  }

  private _faultNotice(problem: IProblem): INotice {
    const { trans } = this._options;
    const action = { label: trans.__('Try again'), onClick: () => this.reload() };
    return problem.status === UNAVAILABLE
      ? { text: problem.message, busy: true, action }
      : { text: trans.__('The page could not be loaded.'), problem, action };
  }

  /** A click into the frame makes its tab the current one, as a click anywhere else does. */
  private readonly _onWindowBlur = () => {
    const element = this._element;
    if (element && document.activeElement === element) {
      element.dispatchEvent(new FocusEvent('focus'));
    }
  };

  private get _element(): HTMLIFrameElement | null {
    return this._frame?.node.querySelector('iframe') ?? null;
  }

  /** Put away while the browser's tab is hidden. */
  private _away = false;
  private _connection: IHimalia['connection'];
  private _fault: IProblem | null = null;
  private _frame: IFrame | null = null;
  private _hiding = 0;
  private readonly _notice = new NoticeWidget();
  /** What the frame shows is from before an interruption: it is loaded anew when it can be. */
  private _stale = false;
  private _url = '';
  private readonly _watch: IDisposable;
}

/** What stands in the frame's place. */
class NoticeWidget extends ReactWidget {
  constructor() {
    super();
    this.addClass('jp-Himalia-frameNotice');
    this.hide();
  }

  /** Say why there is no page; null when there is one. */
  tell(notice: INotice | null, trans: TranslationBundle): void {
    this._content = notice && <Notice notice={notice} trans={trans} />;
    this.setHidden(notice === null);
    this.update();
  }

  protected render(): React.ReactElement {
    return this._content ?? <></>;
  }

  private _content: React.ReactElement | null = null;
}

/** The problem that a frame shows in place of a page; null when it shows a page. */
function readProblem(element: HTMLIFrameElement, trans: TranslationBundle): IProblem | null {
  const page = element.contentDocument;
  if (!page || !/^application\/(problem\+)?json$/.test(page.contentType)) {
    return null;
  }
  const text = page.body?.textContent ?? '';
  try {
    const body = JSON.parse(text) as Record<string, string | number | undefined>;
    const starting = body['error_code'] === 'TEMPORARILY_UNAVAILABLE'; // MLflow's way to say it
    return {
      message: String(body['detail'] ?? body['message'] ?? text),
      hint: String(body['hint'] ?? ''),
      status: starting ? UNAVAILABLE : Number(body['status'] ?? 0)
    };
  } catch {
    return { message: text || trans.__('The answer is empty.'), hint: '', status: 0 };
  }
}
