import { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import { toProblem } from '../../api/problem';
import { at } from '../../api/request';
import type { Parameter, RunOptions, Stage, Sweep } from '../../api/types';
import { CommandIDs } from '../../commands';
import { notifyProblem, ProblemMessage, Select, SubmitDialog, useSignal } from '../../components';
import type { IHimalia, IProblem, IProjectStore } from '../../tokens';
import { ICommon, ParameterFields } from '../parameterField';
import { fieldKey } from '../parameters';
import { haveClusters, IStartParts } from '../start';
import { ISweep, ISweepField, readSweep, refusal, sweepFields } from './form';

class Form {
  problem: IProblem | null = null;
  busy = false;
  /** What was entered, as it is read now. */
  sweep: ISweep;
  readonly changed = new Signal<this, void>(this);

  constructor(
    public fields: readonly ISweepField[],
    readonly trans: TranslationBundle
  ) {
    this.sweep = readSweep(fields, trans);
  }

  set(field: ISweepField, text: string): void {
    this.fields = this.fields.map(other =>
      fieldKey(other) === fieldKey(field) ? { ...other, text } : other
    );
    this.sweep = readSweep(this.fields, this.trans);
    this.problem = null;
    this.changed.emit();
  }
}

/** Ask for values of parameters, then run the pipeline once for each combination of them. */
export async function startSweep(
  parts: IStartParts,
  store: IProjectStore,
  options: Partial<RunOptions>
): Promise<void> {
  const { himalia, trans } = parts;
  const { stages } = store.project;
  let form: Form;
  try {
    form = new Form(sweepFields(stages, await parametersOf(himalia, store.slug, stages)), trans);
    if (!(await haveClusters(parts, store, options))) {
      return;
    }
  } catch (error) {
    notifyProblem(trans.__('The sweep could not be prepared.'), error, trans);
    return;
  }
  const dialog = new SubmitDialog(
    {
      title: trans.__('Sweep over parameters of %1', store.slug),
      body: <FormView form={form} />,
      label: trans.__('Start the sweep'),
      leave: trans.__('Go On in the Background'), // a thousand runs take their time to be made
      trans
    },
    () => submit(parts, store.slug, form, options)
  );
  await dialog.launch();
}

/** What each notebook takes, by its path. */
async function parametersOf(
  himalia: IHimalia,
  slug: string,
  stages: readonly Stage[]
): Promise<Map<string, Parameter[]>> {
  const notebooks = [...new Set(stages.map(({ notebook }) => notebook))];
  const path = at('projects', slug, 'pipeline', 'parameters');
  const answers = notebooks.map(notebook =>
    himalia.request<Parameter[]>('GET', `${path}?notebook=${encodeURIComponent(notebook)}`)
  );
  const found = await Promise.all(answers);
  return new Map(notebooks.map((notebook, index) => [notebook, found[index]]));
}

async function submit(
  parts: IStartParts,
  slug: string,
  form: Form,
  options: Partial<RunOptions>
): Promise<boolean> {
  const { himalia, commands, trans } = parts;
  const { grid, count } = form.sweep;
  if (count === null || refusal(count, trans) !== null) {
    form.changed.emit(); // what is wrong stands in the form
    return false;
  }
  form.problem = null;
  form.busy = true;
  form.changed.emit();
  try {
    const sweep = await himalia.request<Sweep>('POST', at('projects', slug, 'sweeps'), {
      grid,
      options
    });
    await commands.execute(CommandIDs.openSweep, { sweep: sweep.id, slug });
    return true;
  } catch (error) {
    form.problem = toProblem(error, trans);
    return false;
  } finally {
    form.busy = false;
    form.changed.emit();
  }
}

function FormView(props: { form: Form }): React.ReactElement {
  const { form } = props;
  const { trans, sweep } = form;
  useSignal(form.changed);
  const problem = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    if (form.problem) {
      problem.current?.scrollIntoView({ block: 'nearest' }); // the form may be longer than the dialog
    }
  }, [form.problem]);
  return (
    <div className="jp-Himalia-entry jp-Himalia-sweepForm" aria-busy={form.busy}>
      <p className="jp-Himalia-muted">
        {trans.__(
          'Each parameter takes one value or several: one a line, or a JSON list such as [0.1, 0.3]. The pipeline runs once for each combination; what the runs have in common is done once.'
        )}
      </p>
      <ParameterFields
        fields={form.fields}
        faults={sweep.faults}
        change={(field, text) => form.set(field, text)}
        entry={(field, common, change) => (
          <Values field={field} common={common} change={change} trans={trans} />
        )}
      />
      <Count sweep={sweep} busy={form.busy} trans={trans} />
      <div ref={problem}>
        {form.problem && <ProblemMessage problem={form.problem} trans={trans} />}
      </div>
    </div>
  );
}

/** The values of one parameter. */
function Values(props: {
  field: ISweepField;
  common: ICommon;
  change: (text: string) => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const { field, common, change, trans } = props;
  if (field.kind === 'boolean') {
    const both = field.text.includes('\n') ? field.text : 'false\ntrue';
    return (
      <Select {...common} value={field.text} onChange={event => change(event.target.value)}>
        {['true', 'false'].map(value => (
          <option key={value}>{value}</option>
        ))}
        <option value={both}>{trans.__('both')}</option>
      </Select>
    );
  }
  return (
    <textarea
      {...common}
      className="jp-mod-styled"
      spellCheck={false}
      rows={Math.min(Math.max(field.text.split('\n').length, 1), 8)}
      value={field.text}
      onKeyDown={event => event.key === 'Enter' && event.stopPropagation()}
      onChange={event => change(event.target.value)}
    />
  );
}

/** How many runs come of what was entered, or why none do. */
function Count(props: {
  sweep: ISweep;
  busy: boolean;
  trans: TranslationBundle;
}): React.ReactElement {
  const { sweep, busy, trans } = props;
  const { count, factors } = sweep;
  const refused = count === null ? null : refusal(count, trans);
  const number = (value: number) => value.toLocaleString('en');
  const product = factors.length > 1 ? ` (${factors.map(number).join(' × ')})` : '';
  return (
    <p role="status" className="jp-Himalia-sweepCount">
      {count === null ? (
        trans._n(
          'A value above cannot be read.',
          '%1 values above cannot be read.',
          sweep.faults.size
        )
      ) : busy ? (
        trans._n('Starting %1 run…', 'Starting %1 runs…', count)
      ) : (
        <>
          <strong>
            {trans._n('%2 run', '%2 runs', count, number(count))}
            {product}
          </strong>
          {refused !== null && <> {refused}</>}
        </>
      )}
    </p>
  );
}
