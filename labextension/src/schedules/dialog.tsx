import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { toProblem } from '../api/problem';
import { at } from '../api/request';
import type { Parameter, Schedule, SchedulePreview } from '../api/types';
import { Select } from '../components';
import { askAndAct, FormField, IFormProps } from '../frame/ask';
import { ParameterField } from '../pipelines/parameterField';
import {
  fieldKey,
  IParameter,
  notebookFields,
  parameterFields,
  Parameters,
  readFields
} from '../pipelines/parameters';
import { inOrder } from '../pipelines/rows';
import { readLines } from '../pipelines/stageDraft';
import type { IHimalia, IProblem, IProjectStore } from '../tokens';
import {
  draftOfSchedule,
  IScheduleDraft,
  newSchedule,
  PRESETS,
  scheduleName,
  Target,
  toCreate,
  toPatch
} from './draft';
import { schedulesOf } from './question';
import { Times } from './times';

interface IForm extends IScheduleDraft {
  fields: IParameter[];
  /** By the key of the field. */
  faults: ReadonlyMap<string, string>;
}

/** What a schedule is asked for with. */
export interface IScheduleAsk {
  himalia: IHimalia;
  store: IProjectStore;
  trans: TranslationBundle;
  /** The notebook, as himalia.toml names it; null: the pipeline. */
  notebook: string | null;
  /** The schedule that is changed; null: it is new. */
  schedule: Schedule | null;
}

/** Milliseconds that typing rests before the next times are asked for. */
const REST = 300;

/** Ask when and how something is to run by the clock, and see to it. */
export async function askForSchedule(ask: IScheduleAsk): Promise<boolean> {
  const { himalia, store, trans, notebook, schedule } = ask;
  const fields = await fieldsOf(ask);
  const taken = (schedulesOf(store).value ?? []).map(({ name }) => name);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  const draft = schedule
    ? draftOfSchedule(schedule)
    : newSchedule(scheduleName(notebook ?? store.slug, taken), zone);
  const path = at('projects', store.slug, 'schedules');
  return askAndAct<IForm>({
    title: schedule
      ? trans.__('The schedule %1', schedule.name)
      : notebook
        ? trans.__('Schedule %1', notebook)
        : trans.__('Schedule the pipeline'),
    accept: schedule ? trans.__('Save') : trans.__('Schedule'),
    initial: { ...draft, fields, faults: new Map() },
    trans,
    form: props => <ScheduleForm {...props} {...ask} />,
    act: async value => {
      const target = targetOf(ask, value);
      if (schedule === null) {
        await himalia.request('POST', path, toCreate(value, target));
        return;
      }
      const patch = toPatch(schedule, value, target);
      if (Object.keys(patch).length > 0) {
        await himalia.request('PATCH', `${path}/${at(schedule.name)}`, patch);
      }
    }
  });
}

/** The parameters that can be given: those of the notebook, or of the pipeline's stages. */
async function fieldsOf(ask: IScheduleAsk): Promise<IParameter[]> {
  const { himalia, store, notebook, schedule } = ask;
  const given = schedule?.target.params ?? {};
  if (notebook === null) {
    return parameterFields(inOrder(store.project.stages)).map(field => {
      const other = (given as Parameters)[field.stage]?.[field.name];
      return other === undefined
        ? field
        : { ...field, text: typeof other === 'string' ? other : JSON.stringify(other) };
    });
  }
  const query = `notebook=${encodeURIComponent(notebook)}`;
  try {
    const found = await himalia.request<Parameter[]>(
      'GET',
      `${at('projects', store.slug, 'pipeline', 'parameters')}?${query}`
    );
    const fields = notebookFields(notebook, found, {});
    return fields.map(field =>
      field.name in given
        ? { ...field, text: textOf((given as Record<string, unknown>)[field.name]) }
        : field
    );
  } catch {
    return []; // what is wrong with the notebook is told when the schedule is made
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** @throws a sentence for the user */
function targetOf(ask: IScheduleAsk, value: IForm): Target {
  const { notebook, schedule, trans } = ask;
  const { params, faults } = readFields(value.fields, trans);
  const options = schedule?.target.options ?? {
    only: [],
    from: [],
    to: [],
    force: false,
    keep_going: false
  };
  if (faults.size > 0) {
    const [[key, fault]] = faults;
    throw new Error(`${key.slice(key.lastIndexOf('.') + 1)}: ${fault}`);
  }
  if (notebook === null) {
    return { kind: 'pipeline', params, options };
  }
  const inputs = readLines(value.inputs);
  return { kind: 'notebook', notebook, params: params[notebook] ?? {}, inputs, options };
}

function ScheduleForm(props: IFormProps<IForm> & IScheduleAsk): React.ReactElement {
  const { value, change, faulty, schedule, notebook, trans } = props;
  const named = (key: string) => faulty.split('.').includes(key);
  const line = (key: keyof IScheduleDraft, label: string, hint?: string) => (
    <FormField label={label} hint={hint} faulty={named(key)}>
      {(id, described) => (
        <input
          id={id}
          aria-describedby={described}
          className="jp-mod-styled"
          type="text"
          spellCheck={false}
          autoComplete="off"
          value={value[key]}
          onChange={event => change({ [key]: event.target.value })}
        />
      )}
    </FormField>
  );
  const [open] = React.useState(() => ['catch_up', 'overlap', 'deadline', 'inputs'].some(named));
  const set = (field: IParameter, text: string) =>
    change({
      fields: value.fields.map(other =>
        fieldKey(other) === fieldKey(field) ? { ...other, text } : other
      )
    });
  return (
    <>
      {schedule === null &&
        line('name', trans.__('Name'), trans.__('Small letters, digits and -.'))}
      <FormField label={trans.__('When')}>
        {id => (
          <Select
            id={id}
            value={value.preset}
            onChange={event => {
              const preset = event.target.value;
              change({ preset, cron: preset || value.cron });
            }}
          >
            {PRESETS.map(preset => (
              <option key={preset} value={preset}>
                {presetWord(preset, trans)}
              </option>
            ))}
            <option value="">{trans.__('other times (cron)')}</option>
          </Select>
        )}
      </FormField>
      {value.preset === '' &&
        line(
          'cron',
          trans.__('Cron'),
          trans.__('Minute, hour, day of the month, month, weekday: 30 2 * * 1-5.')
        )}
      {line('zone', trans.__('Time zone'), trans.__('For example Europe/Berlin.'))}
      <Preview {...props} />
      {value.fields.length > 0 && (
        <details open={notebook !== null}>
          <summary>{trans.__('Parameters')}</summary>
          {value.fields.map(field => (
            <ParameterField
              key={fieldKey(field)}
              field={notebook === null ? { ...field, help: trans.__('of %1', field.stage) } : field}
              fault={value.faults.get(fieldKey(field))}
              change={text => set(field, text)}
            />
          ))}
        </details>
      )}
      <details open={open}>
        <summary>{trans.__('More')}</summary>
        {line(
          'catch_up',
          trans.__('Missed times'),
          trans.__('none, last or all(5): which are made up for when nothing could run.')
        )}
        {line(
          'overlap',
          trans.__('When the run before it goes on'),
          trans.__('skip, queue(3), cancel (the older one) or allow.')
        )}
        {line(
          'deadline',
          trans.__('Latest start'),
          trans.__('How long after its time it may still begin, such as 2h. Empty: however long.')
        )}
        {notebook !== null && (
          <FormField
            label={trans.__('Inputs')}
            hint={trans.__('Files that the notebook reads beside the code, one a line.')}
            faulty={named('inputs')}
          >
            {(id, described) => (
              <textarea
                id={id}
                aria-describedby={described}
                className="jp-mod-styled"
                rows={2}
                spellCheck={false}
                value={value.inputs}
                onKeyDown={event => event.key === 'Enter' && event.stopPropagation()}
                onChange={event => change({ inputs: event.target.value })}
              />
            )}
          </FormField>
        )}
      </details>
      {schedule === null && (
        <p className="jp-Himalia-muted">
          {trans.__(
            'The code is taken as it is now; data files as they are at each run. Later code is taken by “Update to current code”.'
          )}
        </p>
      )}
    </>
  );
}

/** What the expression means, and its next five times; asked for while it is typed. */
function Preview(props: IFormProps<IForm> & IScheduleAsk): React.ReactElement {
  const { himalia, value, trans } = props;
  const { cron, zone } = value;
  const [preview, setPreview] = React.useState<SchedulePreview | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  React.useEffect(() => {
    let wanted = true;
    const timer = window.setTimeout(() => {
      himalia.request<SchedulePreview>('POST', 'schedules/preview', { cron, zone }).then(
        answer => {
          if (wanted) {
            setPreview(answer);
            setProblem(null);
          }
        },
        (error: unknown) => wanted && setProblem(toProblem(error, trans))
      );
    }, REST);
    return () => {
      wanted = false;
      window.clearTimeout(timer);
    };
  }, [himalia, trans, cron, zone]);
  return (
    <div className="jp-Himalia-preview" aria-live="polite">
      {problem ? (
        <p className="jp-Himalia-fault">
          {problem.message} {problem.hint}
        </p>
      ) : (
        preview && (
          <>
            <p>{trans.__('Runs %1.', preview.description)}</p>
            <Times times={preview.next} zone={preview.zone} trans={trans} />
          </>
        )
      )}
    </div>
  );
}

function presetWord(preset: (typeof PRESETS)[number], trans: TranslationBundle): string {
  switch (preset) {
    case '@hourly':
      return trans.__('every hour');
    case '30 2 * * *':
      return trans.__('every night at 02:30');
    case '0 7 * * 1-5':
      return trans.__('weekdays at 07:00');
    case '0 6 * * 1':
      return trans.__('Mondays at 06:00');
    case '0 5 1 * *':
      return trans.__('the first of each month at 05:00');
  }
}
