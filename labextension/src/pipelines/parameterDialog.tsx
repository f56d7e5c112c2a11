import { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import { toProblem } from '../api/problem';
import { notifyProblem, ProblemMessage, SubmitDialog, useSignal } from '../components';
import type { IProblem, IProjectStore } from '../tokens';
import { ParameterFields } from './parameterField';
import { fieldKey, IParameter, parameterFields, readFields } from './parameters';
import { inOrder } from './rows';
import { haveClusters, IStartParts, postRun, tellStarted } from './start';

class Form {
  faults = new Map<string, string>();
  problem: IProblem | null = null;
  busy = false;
  readonly changed = new Signal<this, void>(this);

  constructor(
    public fields: readonly IParameter[],
    readonly trans: TranslationBundle
  ) {}

  set(field: IParameter, text: string): void {
    this.fields = this.fields.map(other =>
      fieldKey(other) === fieldKey(field) ? { ...other, text } : other
    );
    this.faults.delete(fieldKey(field));
    this.problem = null;
    this.changed.emit();
  }
}

/** Ask for parameters, then run. */
export async function runWithParameters(parts: IStartParts, store: IProjectStore): Promise<void> {
  const { trans } = parts;
  const form = new Form(parameterFields(inOrder(store.project.stages)), trans);
  try {
    if (!(await haveClusters(parts, store))) {
      return;
    }
  } catch (error) {
    notifyProblem(trans.__('The pipeline could not be run.'), error, trans);
    return;
  }
  const dialog = new SubmitDialog(
    {
      title: trans.__('Run %1 with parameters', store.slug),
      body: <FormView form={form} />,
      label: trans.__('Run'),
      trans
    },
    () => submit(parts, store.slug, form)
  );
  await dialog.launch();
}

async function submit(parts: IStartParts, slug: string, form: Form): Promise<boolean> {
  const { params, faults } = readFields(form.fields, parts.trans);
  form.faults = faults;
  form.problem = null;
  form.busy = faults.size === 0;
  form.changed.emit();
  if (!form.busy) {
    return false;
  }
  try {
    tellStarted(parts, slug, await postRun(parts.himalia, slug, { params }));
    return true;
  } catch (error) {
    form.problem = toProblem(error, parts.trans);
    return false;
  } finally {
    form.busy = false;
    form.changed.emit();
  }
}

function FormView(props: { form: Form }): React.ReactElement {
  const { form } = props;
  const { trans } = form;
  useSignal(form.changed);
  const problem = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    if (form.problem) {
      problem.current?.scrollIntoView({ block: 'nearest' }); // the form may be longer than the dialog
    }
  }, [form.problem]);
  return (
    <div className="jp-Himalia-entry" aria-busy={form.busy}>
      <p className="jp-Himalia-muted">
        {trans.__('For this run only. The values below are those of himalia.toml.')}
      </p>
      <ParameterFields
        fields={form.fields}
        faults={form.faults}
        change={(field, text) => form.set(field, text)}
      />
      <div ref={problem}>
        {form.problem && <ProblemMessage problem={form.problem} trans={trans} />}
      </div>
    </div>
  );
}
