import { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import { toProblem } from '../api/problem';
import { RequestError } from '../api/request';
import type { Template } from '../api/types';
import type { IProblem, IProgress } from '../tokens';
import { freeName, nameFault, pathFault, suggestName } from './names';

/** What a new project can be made from. */
export type Source = 'template' | 'folder' | 'git' | 'file';

/** What a new project is made from. */
export interface IProjectDraft {
  name: string;
  template: string;
  /** Make it from this folder instead. */
  path: string;
  /** The address of a repository. */
  git: string;
  /** An exported project. */
  file: File | null;
  source: Source;
}

/** What is wrong with one field. */
export interface IFieldFault {
  field: string;
  text: string;
}

/** The state of the form. Its buttons belong to the dialog, so that it lives outside of React. */
export class ProjectForm {
  busy = false;
  /** How far it is, as the service tells. */
  progress: IProgress | null = null;
  fieldFault: IFieldFault | null = null;
  problem: IProblem | null = null;
  readonly changed = new Signal<this, void>(this);

  constructor(
    public draft: IProjectDraft,
    readonly taken: readonly string[],
    public templates: readonly Template[],
    readonly trans: TranslationBundle
  ) {}

  set(change: Partial<IProjectDraft>): void {
    this.draft = { ...this.draft, ...change };
    this._named ||= change.name !== undefined;
    if (!this._named) {
      this.draft.name = this._proposal();
    }
    this.fieldFault = null;
    this.problem = null;
    this.changed.emit();
  }

  /** There are these templates now; *chosen* is to be the one that is taken. */
  offer(templates: readonly Template[], chosen: string): void {
    this.templates = templates;
    const known = templates.find(({ name, available }) => name === chosen && available);
    this.set({ template: (known ?? templates.find(({ available }) => available))?.name ?? '' });
  }

  /** Whether the name will do; otherwise its field says why not. */
  checkName(): boolean {
    const text = nameFault(this.draft.name, this.taken, this.trans);
    if (text !== null) {
      this.fieldFault = { field: 'name', text };
      this.changed.emit();
    }
    return text === null;
  }

  /** Whether it can be sent; otherwise the field says why not. */
  check(): boolean {
    const { path, git, file, source } = this.draft;
    const { trans } = this;
    this.fieldFault = null; // what was refused may have been mended elsewhere
    this.problem = null;
    if (!this.checkName()) {
      return false;
    }
    if (source === 'folder' && !path.trim()) {
      this.fieldFault = { field: 'path', text: trans.__('Name the folder.') };
    } else if (source === 'folder' && !path.trim().startsWith('/')) {
      this.fieldFault = { field: 'path', text: pathFault(trans) };
    } else if (source === 'git' && !git.trim()) {
      this.fieldFault = { field: 'git', text: trans.__('Give the address of the repository.') };
    } else if (source === 'file' && !file) {
      this.fieldFault = { field: 'file', text: trans.__('Choose the file.') };
    }
    this.changed.emit();
    return this.fieldFault === null;
  }

  /** It is being made, or not any more. */
  setBusy(busy: boolean): void {
    this.busy = busy;
    this.progress = null;
    this.changed.emit();
  }

  /** It is so far. */
  advance(progress: IProgress): void {
    this.progress = progress;
    this.changed.emit();
  }

  refused(error: unknown): void {
    const problem = toProblem(error, this.trans);
    const field = error instanceof RequestError ? error.field : '';
    if (['name', 'path', 'git', 'file', 'template'].includes(field)) {
      const text = [problem.message, problem.hint].filter(Boolean).join(' ');
      this.fieldFault = { field, text };
    } else {
      this.problem = problem;
    }
    this.changed.emit();
  }

  /** What is being done, in a few words. */
  get doing(): string {
    const { draft, progress, trans } = this;
    if (progress?.step) {
      return progress.percent === null
        ? trans.__('%1: %2', draft.name, progress.step)
        : trans.__('%1: %2, %3 %', draft.name, progress.step, progress.percent);
    }
    switch (draft.source) {
      case 'git':
        return trans.__('Cloning into %1…', draft.name);
      case 'file':
        return trans.__('Importing %1…', draft.name);
      default:
        return trans.__('Creating %1…', draft.name);
    }
  }

  /** A free name like what it is made from. */
  private _proposal(): string {
    const { source, path, git, file, template } = this.draft;
    const from = { template, folder: path, git, file: file?.name ?? '' }[source];
    const last = from.replace(/[/\\]+$/, '').replace(/^.*[/\\:]/, '');
    const bare = last.replace(/(\.git|(\.himalia)?( ?\(\d+\))?\.zip)$/, '');
    const usual = source === 'template' && template === 'blank' ? null : suggestName(bare);
    return freeName(usual ?? 'my-project', this.taken);
  }

  private _named = false;
}
