import { toProblem } from '../api/problem';
import { at, RequestError } from '../api/request';
import type { Template } from '../api/types';
import type { IHimalia, IProblem } from '../tokens';
import type { IFieldFault, ProjectForm } from './projectForm';

/** Add, renew and remove templates of the team, within the form of a new project. */
export class Library {
  /** Whether the fields for another template are shown. */
  adding = false;
  source = '';
  name = '';
  /** The template that a question is about: whether it is to be removed. */
  doubted: string | null = null;
  /** What is being done, or was done last, in words. */
  told = '';
  busy = false;
  fault: IFieldFault | null = null;
  problem: IProblem | null = null;

  constructor(
    private readonly _form: ProjectForm,
    private readonly _himalia: IHimalia
  ) {}

  /** Show or hide the fields for another template. */
  show(adding: boolean): void {
    this._set({ adding, source: '', name: '', fault: null, problem: null, told: '' });
  }

  type(change: { source?: string; name?: string }): void {
    this._set({ ...change, fault: null, problem: null });
  }

  /** Ask whether a template is to be removed; null: do not ask any more. */
  doubt(name: string | null): void {
    this._set({ doubted: name, problem: null, told: '' });
  }

  add(): Promise<void> {
    const { trans } = this._form;
    const source = this.source.trim();
    if (!source) {
      const text = trans.__('Name the folder, or the address of the repository.');
      this._set({ fault: { field: 'source', text } });
      return Promise.resolve();
    }
    return this._do(trans.__('Taking a copy of %1…', source), async () => {
      const body = { source, name: this.name.trim() || null };
      const { name, title } = await this._himalia.request<Template>('POST', 'templates', body);
      this.show(false);
      return { chosen: name, told: trans.__('%1 is a template of the team now.', title) };
    });
  }

  renew(template: Template): Promise<void> {
    const { trans } = this._form;
    return this._do(trans.__('Taking a new copy of %1…', template.source ?? ''), async () => {
      const path = at('templates', template.name, 'update');
      const { digest } = await this._himalia.request<Template>('POST', path);
      const told =
        digest === template.digest
          ? trans.__('%1 is as it was.', template.title)
          : trans.__('%1 is renewed.', template.title);
      return { chosen: template.name, told };
    });
  }

  remove(template: Template): Promise<void> {
    const { trans } = this._form;
    return this._do(trans.__('Removing %1…', template.title), async () => {
      await this._himalia.request('DELETE', at('templates', template.name));
      const told = trans.__('%1 is removed; projects that were made from it stay.', template.title);
      return { chosen: this._form.draft.template, told };
    });
  }

  private async _do(
    doing: string,
    act: () => Promise<{ chosen: string; told: string }>
  ): Promise<void> {
    if (this.busy) {
      return;
    }
    this._set({ busy: true, told: doing, fault: null, problem: null, doubted: null });
    try {
      const { chosen, told } = await act();
      const answer = await this._himalia.request<{ items: Template[] }>('GET', 'templates');
      this._form.offer(answer.items, chosen);
      this._set({ busy: false, told });
    } catch (error) {
      this._refused(error);
    }
  }

  private _refused(error: unknown): void {
    const problem = toProblem(error, this._form.trans);
    const field = error instanceof RequestError ? error.field : '';
    const known = { source: 'source', git: 'source', name: 'name' }[field];
    const text = [problem.message, problem.hint].filter(Boolean).join(' ');
    const told =
      known && this.adding ? { fault: { field: known, text }, problem: null } : { problem };
    this._set({ busy: false, told: '', ...told });
  }

  private _set(change: Partial<Library>): void {
    Object.assign(this, change);
    this._form.changed.emit();
  }
}
