import { UUID } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';

import { allItems } from '../api/pages';
import { at, IDownload } from '../api/request';
import type { Project } from '../api/types';
import type { Connection, IEnded, IHimalia, IProblem, IProgress } from '../tokens';
import { ConnectionMachine } from './connection';
import { below } from './place';
import { ProjectStore } from './projectStore';
import type { IConnectionParts, IServiceEvent, IServiceFacts } from './protocol';
import { Refetcher } from './refetcher';

/** What the page's state stands on; tests put their own in its place. */
export interface IHimaliaParts extends IConnectionParts {
  /** *id* names the request, in logs and in events that tell how far it is. */
  request<T>(method: string, path: string, body?: unknown, id?: string): Promise<T>;
  upload<T>(path: string, file: Blob): Promise<T>;
  download(path: string): Promise<IDownload>;
  pageUrl(path: string): string;
  /** The project that this page should show, among these; null for none. */
  choose(projects: readonly Project[]): Promise<string | null>;
  /** The project that this page showed before it was loaded, and that is not among these any more. */
  missed(projects: readonly Project[]): Promise<string | null>;
  /** Bring the page to a project's workspace and a folder or file of it; false when the project can be shown on this page. */
  leaveFor(project: Project, path: string | null, link?: string): Promise<boolean>;
}

/** Files that can be manifests, requirements and locks. */
const TELLING = /\.(toml|txt|in|lock)$/;
/** Files that are code of the project. */
const CODE = /\.(ipynb|py|sql|json|ya?ml)$/;
/** Topics that tell of the end of a project, and of another beginning. */
const ENDS = ['project.archived', 'project.trashed', 'project.deleting', 'project.deleted'];
const BEGINS = ['project.created', 'project.unarchived', 'project.restored'];

/** The state of Himalia on this page. */
export class Himalia implements IHimalia {
  /** The connection for events. */
  readonly machine: ConnectionMachine;

  constructor(private readonly _parts: IHimaliaParts) {
    this._refetcher = new Refetcher(_parts.clock);
    this.machine = new ConnectionMachine(_parts, {
      changed: () => this._connectionChanged(),
      event: event => this._take(event),
      stale: () => void this.refresh()
    });
  }

  get connection(): Connection {
    return this.machine.state;
  }

  get versions(): { extension: string; service: string | null } | null {
    const { facts } = this.machine;
    return facts && { extension: facts.extension, service: facts.version };
  }

  /** What the extension told last; null before its first answer. */
  get facts(): IServiceFacts | null {
    return this.machine.facts;
  }

  get problem(): IProblem | null {
    return this.machine.problem ?? this._problem;
  }

  get root(): string | null {
    return this.facts?.root ?? null;
  }

  get user(): string | null {
    return this.facts?.user ?? null;
  }

  get projects(): readonly Project[] | null {
    return this._projects;
  }

  get store(): ProjectStore | null {
    return this._store;
  }

  get deleted(): string | null {
    return this._deleted;
  }

  get changed(): ISignal<IHimalia, void> {
    return this._changed;
  }

  get ended(): ISignal<IHimalia, IEnded> {
    return this._ended;
  }

  start(): Promise<void> {
    // who is not reached may run all the same
    return this.connection === 'lost' ? this.machine.retry() : this.machine.start();
  }

  async open(slug: string, path?: string, link?: string): Promise<void> {
    if (this._store?.slug === slug) {
      return; // JupyterLab would bring a second tab of a workspace to a new one, again and again
    }
    const project =
      this._projects?.find(known => known.slug === slug) ??
      (await this.request<Project>('GET', at('projects', slug)));
    // JupyterLab would greet with an error of its own about a folder that is gone
    const place = path ?? (project.missing ? null : this._contentsPath(project));
    if (!(await this._parts.leaveFor(project, place, link))) {
      this._show(project);
      if (!this.machine.begun) {
        void this.machine.begin(); // a page of Notebook 7
      }
    }
  }

  async request<T>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    told?: (progress: IProgress) => void
  ): Promise<T> {
    const answer = await (told
      ? this._follow(told, id => this._parts.request<T>(method, path, body, id))
      : this._parts.request<T>(method, path, body));
    if (this.connection === 'stopped') {
      void this.machine.retry(); // whoever answers was started elsewhere
    }
    return answer;
  }

  upload<T>(path: string, file: Blob): Promise<T> {
    return this._parts.upload<T>(path, file);
  }

  download(path: string): Promise<IDownload> {
    return this._parts.download(path);
  }

  pageUrl(path: string): string {
    return this._parts.pageUrl(path);
  }

  /** Read projects and the open project again. */
  async refresh(): Promise<void> {
    await Promise.all([this._refreshProjects(0), this._store?.refresh()]);
  }

  /** The page is seen again: look at what can change without the service knowing. */
  seen(): void {
    if (this.connection === 'live') {
      this._makeUp();
      this._store?.saved(); // another program may have written files meanwhile
    }
  }

  /** A file was saved: perhaps one of the open project that says what it consists of. */
  saved(path: string): void {
    const folder = this._store?.contentsPath ?? null;
    if (folder === null || !path.startsWith(folder && `${folder}/`)) {
      return;
    }
    if (TELLING.test(path)) {
      this._store?.saved();
    } else if (CODE.test(path)) {
      this._store?.savedCode();
    }
  }

  private _connectionChanged(): void {
    if (this.connection === 'live') {
      this._makeUp();
    }
    this._changed.emit();
  }

  /** Ask again for what could not be read while nobody answered: no event tells of it a second time. */
  private _makeUp(): void {
    if (this._problem) {
      void this._refreshProjects();
    }
    this._store?.askAgain();
  }

  /** Pass on what events tell of a request, while it is under way. */
  private async _follow<T>(
    told: (progress: IProgress) => void,
    send: (id: string) => Promise<T>
  ): Promise<T> {
    const id = UUID.uuid4();
    this._told.set(id, told);
    try {
      return await send(id);
    } finally {
      this._told.delete(id);
    }
  }

  private _take(event: IServiceEvent): void {
    const mine = event.project === null || event.project === this._store?.slug;
    if (event.topic === 'project.making') {
      const { step, percent } = event.data;
      this._told.get(event.subject ?? '')?.({
        step: typeof step === 'string' ? step : '',
        percent: typeof percent === 'number' ? percent : null
      });
    } else if (!event.topic.startsWith('project.')) {
      if (mine) {
        this._store?.apply(event);
      }
    } else if (event.topic === 'project.manifest') {
      if (mine) {
        this._store?.saved();
      }
    } else {
      this._takeLife(event);
      if (event.topic === 'project.deleted' && event.subject === this._store?.slug) {
        this._lose();
      } else if (mine) {
        this._store?.apply(event);
      }
      void this._refreshProjects();
    }
  }

  /** An end is believed when the list tells it as well: a page that sleeps hears of old ones. */
  private _takeLife({ topic, subject }: IServiceEvent): void {
    const project = this._projects?.find(({ slug }) => slug === subject);
    if (project && ENDS.includes(topic)) {
      const deleted = topic !== 'project.archived';
      this._ending.set(project.slug, { project, deleted });
    } else if (subject !== null && BEGINS.includes(topic)) {
      this._ending.delete(subject);
    }
  }

  private _tellEnds(projects: readonly Project[]): void {
    const gone = [...this._ending.values()].filter(
      ({ project }) => !projects.some(({ slug }) => slug === project.slug)
    );
    for (const end of gone) {
      this._ending.delete(end.project.slug);
      this._ended.emit(end);
    }
  }

  private _refreshProjects(wait?: number): Promise<void> {
    return this._refetcher.request('projects', () => this._readProjects(), wait);
  }

  private async _readProjects(): Promise<void> {
    try {
      const projects = await allItems<Project>(path => this.request('GET', path), 'projects');
      this._projects = projects.sort((a, b) => b.created_at - a.created_at);
      this._problem = null;
    } catch (error) {
      this._problem = this._parts.explain(error);
      this._changed.emit();
      return;
    }
    this._tellEnds(this._projects);
    await this._settle(this._projects);
    this._changed.emit();
  }

  /** The projects are known: show the page's own, take leave of one that is gone. */
  private async _settle(projects: readonly Project[]): Promise<void> {
    if (this._store) {
      const { slug, project } = this._store;
      const now = projects.find(other => other.slug === slug);
      if (!now) {
        this._lose();
      } else if (now.created_at !== project.created_at) {
        this._show(now); // deleted, and made anew under its name
      } else if (
        now.path !== project.path ||
        now.missing !== project.missing ||
        now.role !== project.role
      ) {
        void this._store.refreshProject(); // its folder was moved, or the user may do something else in it
      }
      return;
    }
    const slug = await this._parts.choose(projects);
    const project = projects.find(other => other.slug === slug);
    if (this._store) {
      return; // opened meanwhile
    }
    if (project) {
      this._show(project);
    } else {
      this._deleted ??= await this._parts.missed(projects);
    }
  }

  private _show(project: Project): void {
    this._store?.dispose();
    const store: ProjectStore = new ProjectStore(project, {
      ask: path => this.request('GET', path),
      explain: error => this._parts.explain(error),
      contentsPath: shown => this._contentsPath(shown),
      gone: () => this._store === store && this._lose(),
      clock: this._parts.clock
    });
    this._store = store;
    this._deleted = null;
    this._changed.emit();
    void store.refresh();
  }

  private _lose(): void {
    this._deleted = this._store?.slug ?? null;
    this._store?.dispose();
    this._store = null;
    this._changed.emit();
    void this._refreshProjects();
  }

  private _contentsPath(project: Project): string | null {
    return this.facts?.root ? below(this.facts.root, project.path) : null;
  }

  private readonly _changed = new Signal<this, void>(this);
  private _deleted: string | null = null;
  private readonly _ended = new Signal<this, IEnded>(this);
  /** Projects whose end was told by an event, and not yet by the list. */
  private readonly _ending = new Map<string, IEnded>();
  private _problem: IProblem | null = null;
  private _projects: readonly Project[] | null = null;
  private readonly _refetcher: Refetcher;
  private _store: ProjectStore | null = null;
  /** Who wants to know how far a request is, by the request's id. */
  private readonly _told = new Map<string, (progress: IProgress) => void>();
}
