import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import { CommandIDs } from '../commands';
import { ActionButton, StateDot } from '../components';
import { IProjectStore } from '../tokens';
import { NextStep } from './nextStep';
import { IStepAction, stepWords } from './nextStepWords';

interface IStepProps {
  step: NextStep;
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The next step: one sentence, and one obvious button. */
export function StepCard(props: IStepProps): React.ReactElement {
  const { step, store, commands, trans } = props;
  const words = stepWords(step, store.project.role, trans);
  const later = step.kind === 'ready' ? laterSteps(store, trans) : [];
  return (
    <section
      className={`jp-Himalia-step${words.primary ? ' jp-mod-asks' : ''}`}
      aria-label={trans.__('Next step')}
      aria-busy={step.kind === 'loading' || undefined}
    >
      <div className="jp-Himalia-stepText" role="status">
        {words.state && <StateDot state={words.state} compact trans={trans} />}
        <div>
          <p className="jp-Himalia-stepTitle">{words.title}</p>
          {words.detail && <p className="jp-Himalia-stepDetail">{words.detail}</p>}
          {words.hint && <p>{words.hint}</p>}
        </div>
      </div>
      <div className="jp-Himalia-stepActions">
        {words.primary && <StepButton action={words.primary} commands={commands} primary />}
        {words.others.map(action => (
          <StepButton key={action.label} action={action} commands={commands} />
        ))}
      </div>
      {later.length > 0 && (
        <div className="jp-Himalia-stepLater">
          <h2>{trans.__('What next?')}</h2>
          <div className="jp-Himalia-stepActions">
            {later.map(action => (
              <StepButton key={action.label} action={action} commands={commands} />
            ))}
          </div>
        </div>
      )}
    </section>
  );
}

/** After all is ready: where to go from here. */
function laterSteps(store: IProjectStore, trans: TranslationBundle): IStepAction[] {
  const training = trainingStage(store);
  return [
    ...(training
      ? [
          {
            label: trans.__('Open the training notebook'),
            command: CommandIDs.openStageNotebook,
            args: { stage: training }
          }
        ]
      : []),
    {
      label: trans.__('Change a parameter and run again'),
      command: CommandIDs.runWithParameters,
      disabledReason: refusedBy(store.project.role, 'run.start', trans)
    },
    { label: trans.__('Make your own project'), command: CommandIDs.newProject }
  ];
}

/** The stage that trains: by its name, else the first that computes on a cluster, else the last. */
function trainingStage(store: IProjectStore): string | null {
  const { stages } = store.project;
  const found =
    stages.find(stage => /train|fit/i.test(stage.name)) ??
    stages.find(stage => stage.cluster !== null) ??
    stages[stages.length - 1];
  return found?.name ?? null;
}

/** Runs a command; busy until it has been done. */
function StepButton(props: {
  action: IStepAction;
  commands: CommandRegistry;
  primary?: boolean;
}): React.ReactElement {
  const { action, commands, primary } = props;
  const [busy, setBusy] = React.useState(false);
  const mounted = React.useRef(true);
  React.useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  const run = async () => {
    setBusy(true);
    try {
      await commands.execute(action.command, action.args);
    } finally {
      if (mounted.current) {
        setBusy(false);
      }
    }
  };
  return (
    <ActionButton
      label={action.label}
      primary={primary}
      busy={busy}
      disabledReason={action.disabledReason}
      onClick={() => void run()}
    />
  );
}
