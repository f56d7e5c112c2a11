import { MainAreaWidget, Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import type { Drag } from '@lumino/dragdrop';
import { Message } from '@lumino/messaging';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import type { Pipeline, Run } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Elapsed,
  EmptyState,
  hasEnded,
  KeptWidget,
  notifyProblem,
  ProblemMessage,
  repairFirst,
  shortId,
  StateDot,
  tell,
  useHimalia
} from '../components';
import { ConnectionNotice, isAway } from '../frame/connectionNotice';
import { StoreGate } from '../frame/gate';
import { runState } from '../service/reduce';
import type { IHimalia, IProjectStore } from '../tokens';
import { Dag } from './dag';
import { editManifest } from './editing';
import { History } from './history';
import { pipelineIcon } from './icons';
import { PIPELINE, planOf } from './question';
import { pipelineRuns, stageRows } from './rows';
import { afterEdit } from './stageDraft';
import { StagePanel } from './stagePanel';

/** What the document is made from. */
export interface IPipelineDocumentProps {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  slug: string;
  /** The stage that is shown at first. */
  stage: string | null;
}

/** Files that are dragged from the file browser. */
const FILES = 'application/x-jupyter-icontents';

/** A tab with the pipeline: graph, runs, and the details of a stage. Notebooks can be dropped onto it. */
export function makePipelineDocument(props: IPipelineDocumentProps): MainAreaWidget {
  const { commands, trans, slug } = props;
  const content = new PipelineWidget(<PipelineDocument {...props} />, path => {
    void commands.execute(CommandIDs.editStage, { path });
  });
  const widget = new MainAreaWidget({ content });
  widget.toolbar.hide();
  widget.title.label = trans.__('Pipeline');
  widget.title.caption = trans.__('The pipeline of the project %1', slug);
  widget.title.icon = pipelineIcon;
  widget.title.closable = true;
  return widget;
}

/** Takes notebooks that are dragged from the file browser. */
class PipelineWidget extends KeptWidget {
  constructor(
    element: React.ReactElement,
    private readonly _take: (path: string) => void
  ) {
    super(element);
    this.addClass('jp-Himalia-document');
  }

  handleEvent(event: Event): void {
    const drag = event as Drag.Event;
    const paths = drag.mimeData.hasData(FILES) ? (drag.mimeData.getData(FILES) as string[]) : [];
    const notebook = paths.find(path => path.endsWith('.ipynb'));
    this.toggleClass('jp-mod-dropTarget', notebook !== undefined && /enter|over/.test(drag.type));
    if (notebook === undefined) {
      return;
    }
    drag.preventDefault();
    drag.stopPropagation();
    if (drag.type === 'lm-drop') {
      drag.dropAction = drag.proposedAction;
      this._take(notebook);
    } else if (drag.type === 'lm-dragover') {
      drag.dropAction = drag.proposedAction;
    }
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    EVENTS.forEach(type => this.node.addEventListener(type, this));
  }

  protected onBeforeDetach(message: Message): void {
    EVENTS.forEach(type => this.node.removeEventListener(type, this));
    super.onBeforeDetach(message);
  }
}

const EVENTS = ['lm-dragenter', 'lm-dragover', 'lm-dragleave', 'lm-drop'];

function PipelineDocument(props: IPipelineDocumentProps): React.ReactElement {
  const { commands, trans, slug } = props;
  const himalia = useHimalia(props.himalia);
  return (
    <StoreGate himalia={himalia} commands={commands} trans={trans} slug={slug}>
      {store => <Body {...props} store={store} />}
    </StoreGate>
  );
}

function Body(props: IPipelineDocumentProps & { store: IProjectStore }): React.ReactElement {
  const { himalia, commands, trans, store } = props;
  const { project } = store;
  const [chosen, choose] = React.useState<string | null>(props.stage);
  const [options, setOptions] = React.useState<IOptions>({ force: false, keep_going: false });
  const details = React.useRef<HTMLDivElement>(null);
  const part = store.part<Pipeline>(PIPELINE);
  const rows = stageRows(project.stages, store.runs.items ?? [], planOf(store));
  const selected = rows.find(({ stage }) => stage.name === chosen) ?? null;
  const mayEdit = refusedBy(project.role, 'project.edit', trans);
  const connect = (from: string, to: string) => void addEdge(props, store, from, to);
  return (
    <div className="jp-Himalia-pipeline">
      <Head {...props} options={options} setOptions={setOptions} />
      <ConnectionNotice himalia={himalia} trans={trans} />
      {project.problem && (
        <p className="jp-Himalia-muted">
          {trans.__('As last read.')} {repairFirst(project, trans)}
        </p>
      )}
      {part.problem && !project.problem && !isAway(himalia.connection) && (
        <ProblemMessage problem={part.problem} trans={trans} />
      )}
      {part.value?.waiting && <p className="jp-Himalia-muted">{part.value.waiting}</p>}
      <div className="jp-Himalia-pipelineBody">
        <div className="jp-Himalia-pipelineMain">
          {rows.length === 0 ? (
            <EmptyState
              text={trans.__(
                'No stages yet. Drag a notebook here from the file browser: it becomes the first one.'
              )}
            />
          ) : (
            <Dag
              rows={rows}
              selected={chosen}
              select={choose}
              enter={() => details.current?.focus()}
              connect={mayEdit ? null : connect}
              trans={trans}
            />
          )}
          <div
            className="jp-Himalia-stagePanel"
            role="region"
            aria-label={trans.__('Details of the stage')}
            tabIndex={-1}
            ref={details}
          >
            {selected ? (
              <StagePanel {...props} row={selected} options={chosenOptions(options)} />
            ) : (
              rows.length > 0 && (
                <p className="jp-Himalia-muted">
                  {trans.__(
                    'Choose a stage to see why it runs, its parameters and files. Drag notebooks here to add stages.'
                  )}
                </p>
              )
            )}
          </div>
        </div>
        <History himalia={himalia} store={store} commands={commands} trans={trans} />
      </div>
    </div>
  );
}

interface IOptions {
  force: boolean;
  keep_going: boolean;
  parallel?: number;
}

/** Those that differ from what is usual. */
function chosenOptions(options: IOptions): Record<string, boolean | number> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== false && value !== undefined)
  );
}

function Head(
  props: IPipelineDocumentProps & {
    store: IProjectStore;
    options: IOptions;
    setOptions: (options: IOptions) => void;
  }
): React.ReactElement {
  const { commands, trans, store, options, setOptions } = props;
  const { project } = store;
  const run = pipelineRuns(store.runs.items ?? [])[0] ?? null;
  const active = run !== null && !hasEnded(run.status);
  const refused = project.problem
    ? repairFirst(project, trans)
    : project.stages.length === 0
      ? trans.__('Add a stage first.')
      : refusedBy(project.role, 'run.start', trans);
  const box = (key: 'force' | 'keep_going', label: string, title: string) => (
    <label className="jp-Himalia-check" title={title}>
      <input
        type="checkbox"
        checked={options[key]}
        onChange={event => setOptions({ ...options, [key]: event.target.checked })}
      />
      {label}
    </label>
  );
  return (
    <header className="jp-Himalia-pipelineHead">
      <h1>{trans.__('Pipeline')}</h1>
      {run && (
        <>
          <button
            type="button"
            className="jp-Himalia-runLink"
            title={trans.__('Open the run %1', run.id)}
            onClick={() => void commands.execute(CommandIDs.openRun, { run: run.id })}
          >
            {trans.__('run %1', shortId(run.id))}
          </button>
          <span role="status">
            <StateDot state={runState(run)} trans={trans} />
          </span>
          {active && <Elapsed from={run.started_at} to={null} trans={trans} />}
        </>
      )}
      <span className="jp-Himalia-fill" />
      <HeadButtons {...props} refused={refused} active={active ? run : null} />
      <div className="jp-Himalia-runOptions">
        {box('force', trans.__('Run all again'), trans.__('Also stages that are up to date'))}
        {box(
          'keep_going',
          trans.__('Keep going'),
          trans.__('When a stage fails, run all that does not depend on it')
        )}
        <label className="jp-Himalia-check" title={trans.__('The most stages at a time')}>
          {trans.__('At a time')}
          <input
            className="jp-mod-styled"
            type="number"
            min={1}
            max={1000}
            placeholder={trans.__('any')}
            value={options.parallel ?? ''}
            onChange={event => {
              const { valueAsNumber: value } = event.target;
              setOptions({ ...options, parallel: value >= 1 ? Math.floor(value) : undefined });
            }}
          />
        </label>
      </div>
    </header>
  );
}

/** What can be done with the pipeline. */
function HeadButtons(
  props: IPipelineDocumentProps & {
    store: IProjectStore;
    options: IOptions;
    refused: string | undefined;
    /** The run that goes on. */
    active: Run | null;
  }
): React.ReactElement {
  const { commands, trans, store, options, refused, active } = props;
  const { project } = store;
  return (
    <div className="jp-Himalia-panelTools">
      {active && (
        <ActionButton
          label={trans.__('Cancel the run')}
          disabledReason={refusedBy(project.role, 'run.cancel', trans)}
          onClick={() => void commands.execute(CommandIDs.cancelRun, { run: active.id })}
        />
      )}
      {commands.hasCommand(CommandIDs.schedule) && (
        <ActionButton
          label={trans.__('Schedule…')}
          title={trans.__('Run the pipeline by the clock')}
          disabledReason={
            project.stages.length === 0
              ? trans.__('Add a stage first.')
              : refusedBy(project.role, 'schedule.write', trans)
          }
          onClick={() => void commands.execute(CommandIDs.schedule, { pipeline: true })}
        />
      )}
      <ActionButton
        label={trans.__('Run with parameters…')}
        disabledReason={refused}
        onClick={() => void commands.execute(CommandIDs.runWithParameters)}
      />
      <ActionButton
        label={trans.__('Sweep…')}
        title={trans.__('Run the pipeline once for each combination of values')}
        disabledReason={refused}
        onClick={() => void commands.execute(CommandIDs.startSweep, chosenOptions(options))}
      />
      <ActionButton
        primary
        label={trans.__('Run')}
        title={trans.__('Run what has changed')}
        disabledReason={refused}
        onClick={() => void commands.execute(CommandIDs.runPipeline, chosenOptions(options))}
      />
    </div>
  );
}

/** Have one stage wait for another. */
async function addEdge(
  { himalia, trans }: IPipelineDocumentProps,
  store: IProjectStore,
  from: string,
  to: string
): Promise<void> {
  const edit = afterEdit(store.project.stages, from, to);
  if (edit === 'known') {
    Notification.info(trans.__('%1 waits for %2 already.', to, from), { autoClose: 4000 });
  } else if (edit === 'circle') {
    tell('warning', trans.__('%1 cannot wait for %2, which waits for %1 itself.', to, from));
  } else if (edit) {
    try {
      await editManifest(himalia, store.slug, [edit]);
    } catch (error) {
      notifyProblem(trans.__('%1 does not wait for %2.', to, from), error, trans);
    }
  }
}
