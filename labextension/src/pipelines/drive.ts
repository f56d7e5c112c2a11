import type * as nbformat from '@jupyterlab/nbformat';
import { Contents, ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { ISignal, Signal } from '@lumino/signaling';

import { at, requestAPI } from '../api/request';

/** The name of the drive, which begins its paths. */
export const DRIVE = 'HimaliaRuns';

/** Which executed notebook. */
export interface IExecuted {
  slug: string;
  run: string;
  stage: string;
  /** An earlier attempt, from 1; absent: the last one. */
  attempt?: number;
}

/** The path of an executed notebook, with the drive's name. */
export function executedPath({ slug, run, stage, attempt }: IExecuted): string {
  const which = attempt === undefined ? '' : `.attempt-${attempt}`;
  return `${DRIVE}:${slug}/${run}/${stage}${which}.ipynb`;
}

/** The reverse of `executedPath`, without the drive's name; null for other paths. */
export function readPath(localPath: string): IExecuted | null {
  const match = /^\/?([^/]+)\/([^/]+)\/([^/]+?)(?:\.attempt-(\d+))?\.ipynb$/.exec(localPath);
  if (!match) {
    return null;
  }
  const [, slug, run, stage, attempt] = match;
  return { slug, run, stage, ...(attempt ? { attempt: Number(attempt) } : {}) };
}

/** Cells of a notebook that nobody can change. */
export function locked(notebook: nbformat.INotebookContent): nbformat.INotebookContent {
  const cells = notebook.cells.map(cell => ({
    ...cell,
    metadata: { ...cell.metadata, editable: false, deletable: false }
  }));
  return { ...notebook, cells: cells };
}

/** The notebooks that runs have kept, as files that can only be read. */
export class RunsDrive implements Contents.IDrive {
  readonly name = DRIVE;

  constructor(
    readonly serverSettings: ServerConnection.ISettings,
    private readonly _trans: TranslationBundle
  ) {}

  get fileChanged(): ISignal<this, Contents.IChangedArgs> {
    return this._fileChanged;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    Signal.clearData(this);
  }

  async get(localPath: string, options?: Contents.IFetchOptions): Promise<Contents.IModel> {
    const executed = readPath(localPath);
    if (!executed) {
      throw new Error(this._trans.__('There is no executed notebook %1.', localPath));
    }
    const wanted = options?.content !== false;
    const content = wanted
      ? locked(await requestAPI<nbformat.INotebookContent>(address(executed), this.serverSettings))
      : null;
    // a kept notebook never changes: the same time always, so that nobody is asked about a newer one
    const time = new Date(0).toISOString();
    return {
      name: `${executed.stage}.ipynb`,
      path: localPath,
      type: 'notebook',
      writable: false,
      created: time,
      last_modified: time,
      mimetype: content ? 'application/x-ipynb+json' : '',
      content,
      format: content ? 'json' : null
    };
  }

  getDownloadUrl(localPath: string): Promise<string> {
    const executed = readPath(localPath);
    return executed
      ? Promise.resolve(`${this.serverSettings.baseUrl}himalia/api/${address(executed)}`)
      : Promise.resolve(''); // of a picture beside the notebook: runs keep none
  }

  listCheckpoints(): Promise<Contents.ICheckpointModel[]> {
    return Promise.resolve([]);
  }

  newUntitled(): Promise<Contents.IModel> {
    return this._refuse();
  }

  delete(): Promise<void> {
    return this._refuse();
  }

  rename(): Promise<Contents.IModel> {
    return this._refuse();
  }

  save(): Promise<Contents.IModel> {
    return this._refuse();
  }

  copy(): Promise<Contents.IModel> {
    return this._refuse();
  }

  createCheckpoint(): Promise<Contents.ICheckpointModel> {
    return this._refuse();
  }

  restoreCheckpoint(): Promise<void> {
    return this._refuse();
  }

  deleteCheckpoint(): Promise<void> {
    return this._refuse();
  }

  private _refuse<T>(): Promise<T> {
    const message = this._trans.__(
      'This is the record of a run and cannot be changed. To change the stage, open its notebook in the project.'
    );
    return Promise.reject(new Error(message));
  }

  private readonly _fileChanged = new Signal<this, Contents.IChangedArgs>(this);
  private _isDisposed = false;
}

function address(executed: IExecuted): string {
  return `v1/${notebookPath(executed)}`;
}

/** Where the service has an executed notebook, below /api/v1. */
export function notebookPath({ slug, run, stage, attempt }: IExecuted): string {
  const which = attempt === undefined ? [] : ['attempts', attempt];
  return at('projects', slug, 'runs', run, 'stages', stage, ...which, 'notebook');
}
