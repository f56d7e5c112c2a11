/** The commands of all rooms. Rooms call each other through these alone. */
export namespace CommandIDs {
  // service
  export const serviceStatus = 'himalia:service-status';
  export const startService = 'himalia:start-service';

  // projects
  export const openExample = 'himalia:open-example';
  export const newProject = 'himalia:new-project';
  /** args: `slug`; without it a list to choose from. */
  export const openProject = 'himalia:open-project';
  /** Opens himalia.toml of the open project in the editor. */
  export const openManifest = 'himalia:open-manifest';
  export const showSidebar = 'himalia:show-sidebar';
  /** The user's own copy of a guide. args: optionally `guide`, the name of its notebook; default: the first one. */
  export const openGuide = 'himalia:open-guide';

  // overview
  export const openOverview = 'himalia:open-overview';

  // pipelines
  export const runPipeline = 'himalia:run-pipeline';
  /** Asks for parameters, then runs. */
  export const runWithParameters = 'himalia:run-with-parameters';
  /** args: `run`. */
  export const cancelRun = 'himalia:cancel-run';
  /** The stage's notebook in the project's folder. args: `stage`. */
  export const openStageNotebook = 'himalia:open-stage-notebook';
  /** Read-only. args: `run`, `stage`, optionally `slug` (default: the open project). */
  export const openExecutedNotebook = 'himalia:open-executed-notebook';
  /** What the stage printed. args: `run`, `stage`, optionally `slug`. */
  export const openStageLog = 'himalia:open-stage-log';
  /** A run's details: stages, parameters, errors. args: `run`, optionally `slug`. */
  export const openRun = 'himalia:open-run';

  // clusters
  /** args: optionally `name`, `workers`; without them a dialog. */
  export const startCluster = 'himalia:start-cluster';
  /** args: `name`. */
  export const scaleCluster = 'himalia:scale-cluster';
  /** args: `name`. */
  export const stopCluster = 'himalia:stop-cluster';
  /** args: `name`, optionally `slug`. */
  export const openDashboard = 'himalia:open-dashboard';

  // models
  /** args: optionally `slug`, `fragment` (the part after # of MLflow's address). */
  export const openMlflow = 'himalia:open-mlflow';
  /** args: `model`, `version`, `alias`. */
  export const setAlias = 'himalia:set-alias';

  // deployments
  /** args: `name`, `model` (models:/NAME@ALIAS or models:/NAME/VERSION); without them a dialog. */
  export const deploy = 'himalia:deploy';
  /** args: `name`, `version`. */
  export const confirmDeployment = 'himalia:confirm-deployment';
  /** The endpoint with its try-it form. args: `name`, optionally `slug`. */
  export const openDeployment = 'himalia:open-deployment';
  /** args: `name`. */
  export const deleteDeployment = 'himalia:delete-deployment';
}
