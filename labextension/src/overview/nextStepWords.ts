import { TranslationBundle } from '@jupyterlab/translation';

import { StageRun } from '../api/types';
import { Action, refusedBy } from '../api/roles';
import { CommandIDs } from '../commands';
import { endpointName } from '../deployments/names';
import { CHAMPION, aliasUri } from '../models/versions';
import { NextStep } from './nextStep';

/** A button: a command with its arguments. */
export interface IStepAction {
  label: string;
  command: string;
  args?: Record<string, string>;
  /** Why the user's role may not do it. */
  disabledReason?: string;
}

/** A next step in words. */
export interface IStepWords {
  /** One sentence: how things stand. */
  title: string;
  /** More, such as an error; may be long. */
  detail?: string;
  /** What to do about it. */
  hint?: string;
  /** How the step looks: a state word of StateDot; null for plain text. */
  state: string | null;
  primary?: IStepAction;
  /** Further buttons. */
  others: IStepAction[];
}

/** Say what the next step is, and which commands take it. */
export function stepWords(step: NextStep, role: string, trans: TranslationBundle): IStepWords {
  const button = (
    label: string,
    command: string,
    args?: Record<string, string>,
    action?: Action
  ): IStepAction => ({
    label,
    command,
    args,
    disabledReason: action && refusedBy(role, action, trans)
  });
  switch (step.kind) {
    case 'loading':
      return { title: trans.__('Looking at the project…'), state: null, others: [] };
    case 'find-folder':
      return {
        title: trans.__('The folder of this project is gone: %1', step.path),
        detail: trans.__('If it was moved, say where it is now; nothing of the project is lost.'),
        state: 'failed',
        primary: button(
          trans.__('Say where it is…'),
          CommandIDs.moveProject,
          undefined,
          'project.move'
        ),
        others: []
      };
    case 'mend-manifest':
      return {
        title: trans.__('himalia.toml has a mistake. Notebooks work, the pipeline does not.'),
        detail: step.problem,
        state: 'failed',
        primary: button(trans.__('Open himalia.toml'), CommandIDs.openManifest),
        others: []
      };
    case 'no-stages':
      return {
        title: trans.__('The pipeline has no stages yet. Name a notebook as a stage.'),
        state: null,
        primary: button(trans.__('Open himalia.toml'), CommandIDs.openManifest),
        others: []
      };
    case 'run': {
      const label = step.missingCluster
        ? trans.__('Start the cluster and run')
        : trans.__('Run the pipeline');
      return {
        title: step.again
          ? trans.__('The last run was cancelled.')
          : trans.__('This pipeline has not run yet.'),
        detail: step.missingCluster
          ? trans.__('A stage wants the cluster %1, which is not running.', step.missingCluster)
          : undefined,
        state: null,
        primary: button(label, CommandIDs.runPipeline, undefined, 'run.start'),
        others: []
      };
    }
    case 'running':
      return {
        title: progressText(step.stage, step.position, step.run.stages.length, trans),
        detail: step.stage?.status === 'waiting' ? (step.stage.reason ?? undefined) : undefined,
        state: 'running',
        others: [
          button(trans.__('Cancel'), CommandIDs.cancelRun, { run: step.run.id }, 'run.cancel')
        ]
      };
    case 'cancelling':
      return { title: trans.__('The run is being cancelled…'), state: 'cancelling', others: [] };
    case 'failed': {
      const { run, stage } = step;
      const title = stage
        ? trans.__('The stage %1 failed.', stage.name)
        : trans.__('The last run failed.');
      return {
        title,
        detail: (stage?.error || stage?.reason || run.reason) ?? undefined,
        hint: stage?.hint ?? undefined,
        state: stage?.status ?? 'failed',
        primary: stage?.notebook
          ? button(trans.__('Open the failed notebook'), CommandIDs.openExecutedNotebook, {
              run: run.id,
              stage: stage.name
            })
          : button(trans.__('Open the run'), CommandIDs.openRun, { run: run.id }),
        others: [
          ...(stage
            ? [
                button(trans.__('Edit the notebook'), CommandIDs.openStageNotebook, {
                  stage: stage.name
                })
              ]
            : []),
          button(trans.__('Run again'), CommandIDs.runPipeline, undefined, 'run.start')
        ]
      };
    }
    case 'confirm': {
      const { deployment, version } = step;
      return {
        title: trans.__('Version %1 waits to be deployed at %2.', version, deployment.name),
        state: 'requested',
        primary: button(
          trans.__('Confirm version %1', version),
          CommandIDs.confirmDeployment,
          { name: deployment.name, version },
          'deployment.write'
        ),
        others: [
          button(trans.__('Look at the endpoint'), CommandIDs.openDeployment, {
            name: deployment.name
          })
        ]
      };
    }
    case 'no-model':
      return {
        title: trans.__('The pipeline ran. It has not registered a model.'),
        hint: trans.__(
          'Give registered_model_name to mlflow’s log_model in a stage, and run again.'
        ),
        state: 'succeeded',
        primary: button(
          trans.__('Run the pipeline'),
          CommandIDs.runPipeline,
          undefined,
          'run.start'
        ),
        others: [button(trans.__('Open MLflow'), CommandIDs.openMlflow)]
      };
    case 'champion':
      return {
        title: trans.__('%1 has a version %2, and no champion yet.', step.model, step.version),
        state: 'succeeded',
        primary: button(
          trans.__('Make version %1 the champion', step.version),
          CommandIDs.setAlias,
          { model: step.model, version: step.version, alias: CHAMPION },
          'model.alias'
        ),
        others: []
      };
    case 'deploy':
      return {
        title: trans.__('The champion of %1 is version %2.', step.model, step.version),
        detail: trans.__('No endpoint answers with it yet.'),
        state: 'succeeded',
        primary: button(
          trans.__('Deploy the champion'),
          CommandIDs.deploy,
          { name: endpointName(step.model), model: aliasUri(step.model, CHAMPION) },
          'deployment.request'
        ),
        others: []
      };
    case 'deploying':
      return {
        title: trans.__(
          'The endpoint %1 is starting with version %2: the model is loaded and asked once.',
          step.deployment.name,
          step.deployment.model_version
        ),
        detail: step.deployment.error ?? undefined,
        state: 'starting',
        others: [
          button(trans.__('Open the endpoint'), CommandIDs.openDeployment, {
            name: step.deployment.name
          })
        ]
      };
    case 'endpoint-failed':
      return {
        title: trans.__('The endpoint %1 could not be started.', step.deployment.name),
        detail: step.deployment.error ?? undefined,
        state: 'failed',
        primary: button(trans.__('Open the endpoint'), CommandIDs.openDeployment, {
          name: step.deployment.name
        }),
        others: []
      };
    case 'ready':
      return {
        title: trans.__(
          'The endpoint %1 answers with version %2.',
          step.deployment.name,
          step.deployment.model_version
        ),
        state: 'ready',
        primary: button(trans.__('Try it'), CommandIDs.openDeployment, {
          name: step.deployment.name
        }),
        others: step.newer
          ? [
              button(
                trans.__('Make version %1 the champion', step.newer.version),
                CommandIDs.setAlias,
                { ...step.newer, alias: CHAMPION },
                'model.alias'
              )
            ]
          : []
      };
  }
}

/** "Stage 2 of 3: train, cell 4 of 9". */
export function progressText(
  stage: StageRun | null,
  position: number,
  total: number,
  trans: TranslationBundle
): string {
  if (!stage) {
    return trans.__('The pipeline is running.');
  }
  const where = trans.__('Stage %1 of %2: %3', position, total, stage.name);
  if (stage.status === 'running' && stage.cells > 0 && stage.cell > 0) {
    return trans.__('%1, cell %2 of %3', where, stage.cell, stage.cells);
  }
  return stage.status === 'running'
    ? trans.__('%1, its kernel starts', where)
    : trans.__('%1, waiting', where);
}
