import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { at } from '../api/request';
import type { Attempt, Parameter } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Ago,
  formatDuration,
  hasEnded,
  notifyProblem,
  repairFirst,
  StateDot,
  useAnswer
} from '../components';
import type { IHimalia, IProjectStore } from '../tokens';
import { Attempts } from './attempts';
import { Changes } from './changes';
import { editManifest } from './editing';
import { ParameterField } from './parameterField';
import { fieldKey, IParameter, notebookFields, readFields } from './parameters';
import { StageError } from './pipelineSection';
import { IStageRow, rowState, wentWrong } from './rows';

interface IStagePanelProps {
  himalia: IHimalia;
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
  row: IStageRow;
  /** Options that go with each run of the document. */
  options: Record<string, boolean | number>;
}

/** The details of a stage: what a run would do, parameters, files, attempts; run and change it. */
export function StagePanel(props: IStagePanelProps): React.ReactElement {
  const { store, commands, trans, row, options } = props;
  const { stage, now, plan } = row;
  const { name } = stage;
  const refused = store.project.problem
    ? repairFirst(store.project, trans)
    : refusedBy(store.project.role, 'run.start', trans);
  const mayEdit = refusedBy(store.project.role, 'project.edit', trans);
  const run = (args: Record<string, string>) =>
    void commands.execute(CommandIDs.runPipeline, { ...options, ...args });
  const state = rowState(row);
  return (
    <>
      <header className="jp-Himalia-panelHead">
        <h2>{name}</h2>
        {state !== 'none' && <StateDot state={state} trans={trans} />}
        <span className="jp-Himalia-fill" />
        <ActionButton
          label={trans.__('Notebook')}
          title={trans.__('Open %1', stage.notebook)}
          onClick={() => void commands.execute(CommandIDs.openStageNotebook, { stage: name })}
        />
        <ActionButton
          label={trans.__('Last executed')}
          disabledReason={row.executedIn ? null : trans.__('It has not been executed yet.')}
          onClick={() =>
            void commands.execute(CommandIDs.openExecutedNotebook, {
              run: row.executedIn,
              stage: name
            })
          }
        />
        <ActionButton
          label={trans.__('Edit…')}
          disabledReason={mayEdit}
          onClick={() => void commands.execute(CommandIDs.editStage, { stage: name })}
        />
        <ActionButton
          label={trans.__('Remove…')}
          disabledReason={mayEdit}
          onClick={() => void commands.execute(CommandIDs.removeStage, { stage: name })}
        />
      </header>
      <div className="jp-Himalia-panelTools">
        <ActionButton
          label={trans.__('Run only this')}
          disabledReason={refused}
          onClick={() => run({ only: name })}
        />
        <ActionButton
          label={trans.__('From here')}
          title={trans.__('This stage, and all that depends on it')}
          disabledReason={refused}
          onClick={() => run({ from: name })}
        />
        <ActionButton
          label={trans.__('To here')}
          title={trans.__('This stage, and all that it needs')}
          disabledReason={refused}
          onClick={() => run({ to: name })}
        />
      </div>
      {now && wentWrong(now.status) && now.error && (
        <StageError error={now.error} hint={now.hint} trans={trans} />
      )}
      {plan && <Changes {...props} slug={store.slug} plan={plan} />}
      <ParameterForm key={`${name} ${stage.notebook}`} {...props} />
      <Files {...props} />
      {now && now.attempts > (hasEnded(now.status) ? 1 : 0) && row.run && (
        <PastAttempts {...props} run={row.run} count={now.attempts} />
      )}
    </>
  );
}

function ParameterForm(props: IStagePanelProps): React.ReactElement | null {
  const { himalia, store, commands, trans, row, options } = props;
  const { stage, plan } = row;
  const query = `notebook=${encodeURIComponent(stage.notebook)}`;
  const path = `${at('projects', store.slug, 'pipeline', 'parameters')}?${query}`;
  // asked again when the notebook has another key
  const { value } = useAnswer<Parameter[]>(himalia, path, trans, plan?.key);
  const [typed, type] = React.useState<ReadonlyMap<string, string>>(new Map());
  const [faults, setFaults] = React.useState<ReadonlyMap<string, string>>(new Map());
  const [busy, setBusy] = React.useState(false);
  const fields = notebookFields(stage.name, value ?? [], stage.params).map((field): IParameter => ({
    ...field,
    text: typed.get(field.name) ?? field.text
  }));
  if (fields.length === 0) {
    return null;
  }
  const read = (): Record<string, unknown> | null => {
    const found = readFields(fields, trans);
    setFaults(found.faults);
    return found.faults.size > 0 ? null : (found.params[stage.name] ?? {});
  };
  const runWith = () => {
    const params = read();
    if (params) {
      const args = { ...options, to: stage.name, params: { [stage.name]: params } };
      void commands.execute(CommandIDs.runPipeline, args as never);
    }
  };
  const keep = async () => {
    const params = read();
    if (!params || Object.keys(params).length === 0) {
      return;
    }
    setBusy(true);
    try {
      const edits = Object.entries(params).map(([name, item]) => ({
        op: 'set' as const,
        path: ['stages', stage.name, 'params', name],
        value: item
      }));
      await editManifest(himalia, store.slug, edits);
      type(new Map());
    } catch (error) {
      notifyProblem(trans.__('himalia.toml was not changed.'), error, trans);
    } finally {
      setBusy(false);
    }
  };
  const none = typed.size === 0 ? trans.__('Change a value first.') : null;
  return (
    <section aria-label={trans.__('Parameters')} aria-busy={busy}>
      <h3>{trans.__('Parameters')}</h3>
      <div className="jp-Himalia-entry">
        {fields.map(field => (
          <ParameterField
            key={field.name}
            field={field}
            fault={faults.get(fieldKey(field))}
            change={text => type(new Map(typed).set(field.name, text))}
          />
        ))}
      </div>
      <div className="jp-Himalia-panelTools">
        <ActionButton
          label={trans.__('Run with these')}
          title={trans.__('Up to this stage, for this run only')}
          disabledReason={none ?? refusedBy(store.project.role, 'run.start', trans)}
          onClick={runWith}
        />
        <ActionButton
          label={trans.__('Keep in himalia.toml')}
          busy={busy}
          disabledReason={none ?? refusedBy(store.project.role, 'project.edit', trans)}
          onClick={() => void keep()}
        />
      </div>
    </section>
  );
}

function Files(props: IStagePanelProps): React.ReactElement {
  const { trans, row } = props;
  const { stage, plan, lastSeconds } = row;
  const list = (paths: readonly string[]) =>
    paths.length === 0
      ? '–'
      : paths.map(path => (
          <div key={path}>
            <code>{path}</code>
            {plan?.restore.includes(path) && (
              <span className="jp-Himalia-muted"> {trans.__('(is put back from the cache)')}</span>
            )}
          </div>
        ));
  const settings = Object.entries(stage.settings).filter(([, value]) => value !== null);
  return (
    <section aria-label={trans.__('Files')}>
      <h3>{trans.__('Files')}</h3>
      <dl className="jp-Himalia-facts">
        <dt>{trans.__('Inputs')}</dt>
        <dd>{list(stage.inputs)}</dd>
        <dt>{trans.__('Outputs')}</dt>
        <dd>{list(stage.outputs)}</dd>
        {settings.map(([key, value]) => (
          <React.Fragment key={key}>
            <dt>{key}</dt>
            <dd>
              <code>{typeof value === 'string' ? value : JSON.stringify(value)}</code>
            </dd>
          </React.Fragment>
        ))}
        {plan?.last_ended_at != null && (
          <>
            <dt>{trans.__('Last result')}</dt>
            <dd>
              <Ago at={plan.last_ended_at} trans={trans} />
              {lastSeconds !== null && ` · ${formatDuration(lastSeconds, trans)}`}
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}

function PastAttempts(
  props: IStagePanelProps & { run: string; count: number }
): React.ReactElement {
  const { himalia, store, commands, trans, row, run, count } = props;
  const stage = row.stage.name;
  const path = at('projects', store.slug, 'runs', run, 'stages', stage, 'attempts');
  const part = useAnswer<Attempt[]>(himalia, path, trans, count);
  return (
    <Attempts
      part={part}
      slug={store.slug}
      run={run}
      stage={stage}
      commands={commands}
      trans={trans}
    />
  );
}
