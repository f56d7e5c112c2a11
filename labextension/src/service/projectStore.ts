import { ISignal, Signal } from '@lumino/signaling';

import { allItems } from '../api/pages';
import { at } from '../api/request';
import type { Cluster, Deployment, Model, Project, Run } from '../api/types';
import type { IPart, IProblem, IProjectStore, IQuestion, ISlice } from '../tokens';
import type { IServiceEvent } from './protocol';
import { IClock } from './clock';
import {
  putRun,
  putRuns,
  reduceClusters,
  reduceDeployments,
  reduceRuns,
  RUNS_KEPT
} from './reduce';
import { Refetcher } from './refetcher';

/** What the store stands on. */
export interface IStoreParts {
  ask<T>(path: string): Promise<T>;
  explain(error: unknown): IProblem;
  /** The folder as the file browser names it. */
  contentsPath(project: Project): string | null;
  /** The project does not exist any more. */
  gone(): void;
  clock: IClock;
}

interface ISlices {
  runs: ISlice<Run>;
  clusters: ISlice<Cluster>;
  models: ISlice<Model>;
  deployments: ISlice<Deployment>;
}

/** The topic of questions whose answers follow from the project's files. */
const FILE = 'project.file';
/** The topic of questions whose answers follow from the project's code. */
const CODE = 'project.code';
const NOTHING = { items: null, problem: null };
/** Begins the keys of what rooms ask for. */
const PART = 'part ';
const UNKNOWN = { value: null, problem: null };

/** The open project: read once, then kept up to date by events. */
export class ProjectStore implements IProjectStore {
  constructor(
    private _project: Project,
    private readonly _parts: IStoreParts
  ) {
    this._refetcher = new Refetcher(_parts.clock);
  }

  get slug(): string {
    return this._project.slug;
  }

  get project(): Project {
    return this._project;
  }

  get runs(): ISlice<Run> {
    return this._slices.runs;
  }

  get clusters(): ISlice<Cluster> {
    return this._slices.clusters;
  }

  get models(): ISlice<Model> {
    return this._slices.models;
  }

  get deployments(): ISlice<Deployment> {
    return this._slices.deployments;
  }

  get tracking(): 'starting' | 'running' {
    return this._tracking;
  }

  get contentsPath(): string | null {
    return this._parts.contentsPath(this._project);
  }

  get changed(): ISignal<IProjectStore, void> {
    return this._changed;
  }

  part<T>(question: IQuestion): IPart<T> {
    const known = this._asked.get(question.path);
    if (known === undefined) {
      this._asked.set(question.path, { question, answer: UNKNOWN });
      void this._refreshPart(question, 0);
    }
    return (known?.answer ?? UNKNOWN) as IPart<T>;
  }

  drop({ path }: IQuestion): void {
    this._asked.delete(path);
    this._unread.delete(PART + path);
  }

  async refresh(): Promise<void> {
    await Promise.all([
      ...[...this._asked.values()].map(({ question }) => this._refreshPart(question, 0)),
      this.refreshProject(),
      this._refreshRuns(),
      this._refreshList('clusters', 0),
      this._refreshList('models', 0),
      this._refreshList('deployments', 0),
      this._refreshTracking()
    ]);
  }

  /** Read the manifest's part again: a file can change without an event. */
  refreshProject(): Promise<void> {
    return this._refetch('project', this._path(), (project: Project) => this._putProject(project));
  }

  /** Ask again for the parts that could not be read because nobody answered. */
  askAgain(): void {
    const parts = [...this._unread.values()];
    this._unread.clear();
    parts.forEach(ask => ask());
  }

  /** A file was saved: read again what follows from it. */
  saved(): void {
    void this.refreshProject();
    this._refreshParts(FILE);
  }

  /** Code was saved: what follows from it alone. */
  savedCode(): void {
    this._refreshParts(CODE);
  }

  /** Take in what the service tells. */
  apply(event: IServiceEvent): void {
    this._refreshParts(event.topic);
    const [kind] = event.topic.split('.');
    if (kind === 'run' || kind === 'stage' || kind === 'stages') {
      this._applyToRuns(event);
    } else if (kind === 'cluster') {
      this._change('clusters', items => reduceClusters(items, event));
      void this._refreshList('clusters');
    } else if (kind === 'deployment' && event.topic !== 'deployment.token') {
      this._change('deployments', items => reduceDeployments(items, event));
      void this._refreshList('deployments');
    } else if (kind === 'model') {
      void this._refreshList('models');
    } else if (event.topic === 'tracking.state') {
      this._applyTracking(event.data.state === 'running' ? 'running' : 'starting');
      void this._refreshList('models'); // they come from MLflow
    }
  }

  dispose(): void {
    this._disposed = true;
    Signal.clearData(this);
  }

  private _applyToRuns(event: IServiceEvent): void {
    this._change('runs', items => reduceRuns(items, event));
    const quiet = ['stage.progress', 'stage.waiting', 'run.cancelling', 'run.started'];
    if (event.subject && !quiet.includes(event.topic)) {
      void this._refreshRun(event.subject);
    }
    if (event.topic === 'run.created') {
      void this.refreshProject();
    }
    if (event.topic === 'stage.ended' && event.data.status === 'succeeded') {
      void this._refreshList('models');
    }
  }

  private _applyTracking(state: 'starting' | 'running'): void {
    if (state !== this._tracking) {
      this._tracking = state;
      this._changed.emit();
    }
  }

  private _putProject(answer: Project): void {
    const project = lastKnown(this._project, answer);
    if (JSON.stringify(project) !== JSON.stringify(this._project)) {
      const other = project.problem !== this._project.problem;
      this._project = project;
      this._changed.emit();
      if (other) {
        this._refreshParts(FILE);
      }
    }
  }

  private _refreshRun(id: string): Promise<void> {
    return this._refetch(`run ${id}`, this._path('runs', id), (run: Run) =>
      this._change('runs', items => putRun(items, run))
    );
  }

  private _refreshRuns(): Promise<void> {
    const path = `${this._path('runs')}?limit=${RUNS_KEPT}`;
    return this._refetch('runs', path, (answer: { items: Run[] }) =>
      this._put('runs', putRuns(this.runs.items ?? [], answer.items))
    );
  }

  private _refreshList(name: Exclude<keyof ISlices, 'runs'>, wait?: number): Promise<void> {
    const put = (items: never[]) => this._put(name, items);
    const ask = (path: string) => allItems<never>(page => this._parts.ask(page), path);
    return this._refetch(name, this._path(name), put, wait, ask);
  }

  /** Ask again for the parts that a topic concerns. */
  private _refreshParts(topic: string): void {
    for (const { question } of this._asked.values()) {
      if (question.topics.some(prefix => topic.startsWith(prefix))) {
        void this._refreshPart(question);
        if (topic !== FILE && question.topics.includes(FILE)) {
          void this.refreshProject(); // the answer may tell of files that another program has changed
        }
      }
    }
  }

  private _refreshPart(question: IQuestion, wait?: number): Promise<void> {
    const { path } = question;
    const put = (value: unknown) => this._putPart(question, { value, problem: null });
    return this._refetch(`${PART}${path}`, `${this._path()}/${path}`, put, wait);
  }

  private _putPart(question: IQuestion, answer: IPart<unknown>): void {
    if (this._asked.has(question.path)) {
      this._asked.set(question.path, { question, answer });
      this._changed.emit();
    }
  }

  private _refreshTracking(): Promise<void> {
    const path = this._path('tracking');
    return this._refetch('tracking', path, (answer: { state: 'starting' | 'running' }) =>
      this._applyTracking(answer.state)
    );
  }

  /** Ask for a part; what events told while the question was under way is asked for again. */
  private _refetch<T>(
    key: string,
    path: string,
    put: (answer: T) => void,
    wait?: number,
    read: (path: string) => Promise<T> = page => this._parts.ask<T>(page)
  ): Promise<void> {
    const ask = async () => {
      try {
        const answer = await read(path);
        this._unread.delete(key);
        if (!this._disposed) {
          put(answer);
        }
      } catch (error) {
        if (!this._disposed) {
          this._failed(key, error);
          this._unread.set(key, () => void this._refetch(key, path, put, wait, read));
        }
      }
    };
    return this._refetcher.request(key, ask, wait);
  }

  private _failed(key: string, error: unknown): void {
    const problem = this._parts.explain(error);
    const part = key.startsWith(PART) ? this._asked.get(key.slice(PART.length)) : undefined;
    if (key === 'project' && problem.status === 404) {
      this._parts.gone();
    } else if (part) {
      this._putPart(part.question, { value: part.answer.value, problem });
    } else if (isSlice(key)) {
      this._slices = { ...this._slices, [key]: { items: this._slices[key].items, problem } };
      this._changed.emit();
    }
  }

  private _put<N extends keyof ISlices>(name: N, items: ISlices[N]['items']): void {
    this._slices = { ...this._slices, [name]: { items, problem: null } };
    this._changed.emit();
  }

  /** Change what is known; before the first answer there is nothing to change. */
  private _change<N extends keyof ISlices>(
    name: N,
    change: (items: NonNullable<ISlices[N]['items']>) => ISlices[N]['items']
  ): void {
    const { items } = this._slices[name];
    const changed = items && change(items);
    if (changed && changed !== items) {
      this._put(name, changed);
    }
  }

  private _path(...parts: string[]): string {
    return at('projects', this.slug, ...parts);
  }

  /** What rooms have asked for, by its path. */
  private readonly _asked = new Map<string, { question: IQuestion; answer: IPart<unknown> }>();
  private readonly _changed = new Signal<this, void>(this);
  private _disposed = false;
  private readonly _refetcher: Refetcher;
  /** Parts whose last question failed, and how to ask again. */
  private readonly _unread = new Map<string, () => void>();
  private _slices: ISlices = {
    runs: NOTHING,
    clusters: NOTHING,
    models: NOTHING,
    deployments: NOTHING
  };
  private _tracking: 'starting' | 'running' = 'starting';
}

/** A project whose manifest cannot be read now, with what was read from it last. */
function lastKnown(known: Project, now: Project): Project {
  if (now.problem === null || now.stages.length > 0) {
    return now;
  }
  const { name, description, stages } = known;
  return { ...now, name, description, stages };
}

function isSlice(key: string): key is keyof ISlices {
  return ['runs', 'clusters', 'models', 'deployments'].includes(key);
}
