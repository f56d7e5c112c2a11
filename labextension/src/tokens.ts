import { Token } from '@lumino/coreutils';
import { IDisposable } from '@lumino/disposable';
import { ISignal } from '@lumino/signaling';
import { LabIcon } from '@jupyterlab/ui-components';
import { ReactElement } from 'react';

import type { IDownload } from './api/request';
import { Cluster, Deployment, Model, Project, Run } from './api/types';

/** What happened, and what to do. `technical` folds. */
export interface IProblem {
  message: string;
  hint: string;
  technical?: string;
  /** The HTTP status; 0 when the server did not answer at all. */
  status: number;
}

/** How far something is that takes long, as the service tells it. */
export interface IProgress {
  step: string;
  /** Of the step; null when nobody knows. */
  percent: number | null;
}

/**
 * How this page and the service stand to each other.
 *
 * - `connecting`: not answered yet
 * - `starting`: the service is being started
 * - `live`: events flow
 * - `stopped`: no service runs, and nobody asked for one
 * - `newer`: the service is newer than this JupyterLab's Himalia
 * - `lost`: the Jupyter server, or its Himalia extension, does not answer; tried again by itself
 * - `refused`: signed in as somebody who may not use Himalia here, or not signed in any more
 */
export type Connection =
  'connecting' | 'starting' | 'live' | 'stopped' | 'newer' | 'lost' | 'refused';

/** A list of one kind of thing in the open project. `items` is null until the first answer. */
export interface ISlice<T> {
  readonly items: readonly T[] | null;
  /** Why the last question failed; the last known items stay. */
  readonly problem: IProblem | null;
}

/** Something that a room asks about a project; one object for each question, kept by the room. */
export interface IQuestion {
  /** The path below the project's: `environment`. */
  path: string;
  /** Beginnings of the topics whose events change the answer: `environment.`. */
  topics: readonly string[];
}

/** An answer as it is known now. */
export interface IPart<T> {
  /** Null until the first answer. */
  readonly value: T | null;
  /** Why the last question failed; the last known answer stays. */
  readonly problem: IProblem | null;
}

/** The open project, kept up to date by events. All parts are immutable snapshots, replaced when they change. */
export interface IProjectStore {
  readonly slug: string;
  readonly project: Project;
  readonly runs: ISlice<Run>;
  readonly clusters: ISlice<Cluster>;
  readonly models: ISlice<Model>;
  readonly deployments: ISlice<Deployment>;
  /** Whether MLflow answers. */
  readonly tracking: 'starting' | 'running';
  /** The folder as JupyterLab's file browser names it; null when it lies outside of what this server shows. */
  readonly contentsPath: string | null;
  /** Any part changed. */
  readonly changed: ISignal<IProjectStore, void>;
  /** What is known of an answer. It is asked for when it is first wanted, and again when events change it. */
  part<T>(question: IQuestion): IPart<T>;
  /** Nobody wants an answer any more: it is not kept up to date. */
  drop(question: IQuestion): void;
  /** Read everything again. */
  refresh(): Promise<void>;
}

/** A project that was archived or deleted. */
export interface IEnded {
  /** As it was known last. */
  project: Project;
  /** Its folder may be gone as well. */
  deleted: boolean;
}

/** What all rooms stand on: the service's state, its API, the projects, the open project. */
export interface IHimalia {
  readonly connection: Connection;
  /** Versions, for messages; null until known. */
  readonly versions: { extension: string; service: string | null } | null;
  readonly problem: IProblem | null;
  /** The absolute path of what the file browser shows as its root; null until known, or when these are no files. */
  readonly root: string | null;
  /** Who is signed in, as members of projects are named; null until known. */
  readonly user: string | null;
  /** Projects that the user may see, newest first; null until the first answer. */
  readonly projects: readonly Project[] | null;
  /** The project of this page (one JupyterLab workspace holds one project); null when none is open. */
  readonly store: IProjectStore | null;
  /** Slug of a project that was open on this page and has been deleted, until another is opened. */
  readonly deleted: string | null;
  /** Connection, versions, problem, projects, store or deleted changed (not what is inside the store). */
  readonly changed: ISignal<IHimalia, void>;
  /** A project that the user could see was archived or deleted, here or elsewhere. */
  readonly ended: ISignal<IHimalia, IEnded>;
  /** Start the service when there is none, and connect. */
  start(): Promise<void>;
  /**
   * Open a project on this page: JupyterLab goes to the project's workspace.
   *
   * @param path - a file to open there, as the file browser names it
   * @param link - what to show there, as a link of a notice names it (`himalia-run=…`)
   */
  open(slug: string, path?: string, link?: string): Promise<void>;
  /**
   * Ask the service: *path* below /api/v1, each part encoded by `at`.
   *
   * @param told - called with how far it is, if that is told
   * @throws RequestError with the service's words
   */
  request<T>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    told?: (progress: IProgress) => void
  ): Promise<T>;
  /** Send a file to *path* below /api/v1. */
  upload<T>(path: string, file: Blob): Promise<T>;
  /** The file at *path* below /api/v1. */
  download(path: string): Promise<IDownload>;
  /** The address of a page that the extension forwards: `mlflow/SLUG/`, `dashboard/SLUG/CLUSTER/status`. */
  pageUrl(path: string): string;
}

export const IHimalia = new Token<IHimalia>(
  'himalia:IHimalia',
  'The state of Himalia on this page: connection, projects, the open project.'
);

/** A folding part of the sidebar. */
export interface ISection {
  id: string;
  title: string;
  /** Position from the top: pipeline 10, clusters 20, runs 30, models 40, deployments 50. */
  rank: number;
  /** Buttons in the section's head; commands with their arguments. */
  toolbar?: readonly { command: string; args?: Record<string, string>; icon: LabIcon }[];
  /** A short word when something wants attention ("failed", "1 waits"), null otherwise. */
  badge?(store: IProjectStore): string | null;
  /** The body; called again when the store changes. */
  render(store: IProjectStore): ReactElement;
}

/** Rooms add their sections to the sidebar. */
export interface ISidebar {
  add(section: ISection): IDisposable;
  /** Show the panel, with this section in view. */
  reveal(id?: string): void;
}

export const ISidebar = new Token<ISidebar>(
  'himalia:ISidebar',
  "Himalia's sidebar, to which rooms add sections."
);
