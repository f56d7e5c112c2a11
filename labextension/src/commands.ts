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
  /** A document with all projects, also archived and deleted ones. */
  export const allProjects = 'himalia:all-projects';
  /** This and those below: args: optionally `slug`; default: the open project. */
  export const openProjectTab = 'himalia:open-project-tab';
  export const cloneProject = 'himalia:clone-project';
  export const exportProject = 'himalia:export-project';
  export const archiveProject = 'himalia:archive-project';
  export const unarchiveProject = 'himalia:unarchive-project';
  export const deleteProject = 'himalia:delete-project';
  /** Say where its folder is now. */
  export const moveProject = 'himalia:move-project';
  export const purgeProject = 'himalia:purge-project';
  export const restoreProject = 'himalia:restore-project';
  /** Opens himalia.toml of the open project in the editor. args: optionally `line`, `column`, both from 1. */
  export const openManifest = 'himalia:open-manifest';
  export const showSidebar = 'himalia:show-sidebar';
  /** The user's own copy of a guide. args: optionally `guide`, the name of its notebook; default: the first one. */
  export const openGuide = 'himalia:open-guide';

  // overview
  export const openOverview = 'himalia:open-overview';

  // pipelines
  /** args: optionally `only`, `from`, `to` (names of stages), `force`, `keep_going`, `parallel`, `params`. */
  export const runPipeline = 'himalia:run-pipeline';
  /** Stages, edges, history. args: optionally `slug`, `stage` that is shown. */
  export const openPipeline = 'himalia:open-pipeline';
  /** args: `run`, optionally `slug`. */
  export const resumeRun = 'himalia:resume-run';
  /** The outputs that a run has made, into the project's folder. args: `run`, optionally `slug`. */
  export const restoreOutputs = 'himalia:restore-outputs';
  /** args: `runs`, ids of two or more, optionally `slug`. */
  export const compareRuns = 'himalia:compare-runs';
  /** Make a notebook a stage, or change one. args: optionally `path` of a notebook, or `stage`. */
  export const editStage = 'himalia:edit-stage';
  /** args: `stage`. */
  export const removeStage = 'himalia:remove-stage';
  /** Asks for parameters, then runs. */
  export const runWithParameters = 'himalia:run-with-parameters';
  /** Asks for values of parameters, then runs each combination. args: optionally `force`, `keep_going`, `parallel`. */
  export const startSweep = 'himalia:start-sweep';
  /** The runs of a sweep side by side. args: `sweep`, optionally `slug`. */
  export const openSweep = 'himalia:open-sweep';
  /** args: `run`. */
  export const cancelRun = 'himalia:cancel-run';
  /** The stage's notebook in the project's folder. args: `stage`. */
  export const openStageNotebook = 'himalia:open-stage-notebook';
  /** Read-only. args: `run`, `stage`, optionally `slug` (default: the open project), `attempt`, `cell` to show. */
  export const openExecutedNotebook = 'himalia:open-executed-notebook';
  /** What the stage printed. args: `run`, `stage`, optionally `slug`, `attempt`. */
  export const openStageLog = 'himalia:open-stage-log';
  /** A run's details: stages, parameters, errors. args: `run`, optionally `slug`. */
  export const openRun = 'himalia:open-run';

  // schedules
  /** args: optionally `path` of a notebook, `pipeline`, or `schedule` that is changed; default: the shown notebook. */
  export const schedule = 'himalia:schedule';
  /** args: `name`, `act` (pause, resume, run, update-code or delete). */
  export const operateSchedule = 'himalia:operate-schedule';
  /** args: `name`, optionally `slug`. */
  export const openSchedule = 'himalia:open-schedule';

  // notices
  /** The list of failures and recoveries, in the sidebar. */
  export const showNotices = 'himalia:show-notices';
  /** args: optionally `notice`, the id of the one that is marked; default: all. */
  export const readNotices = 'himalia:read-notices';

  // verify
  /** Execute a notebook in a clean kernel and compare. args: optionally `path`; default: the shown notebook. */
  export const verify = 'himalia:verify';
  /** args: `verification`, optionally `slug`. */
  export const openVerification = 'himalia:open-verification';

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

  // secrets
  /** args: optionally `name`, of a secret that gets another value. */
  export const setSecret = 'himalia:set-secret';
  /** args: `name`. */
  export const deleteSecret = 'himalia:delete-secret';

  // team
  /** args: optionally `user`, a member who gets another role; without it a dialog asks for the person too. */
  export const setMember = 'himalia:set-member';
  /** args: `user`. */
  export const removeMember = 'himalia:remove-member';

  // components
  /** args: optionally `name` (project/component) and `version`; without them a list to choose from. */
  export const useComponent = 'himalia:use-component';
  /** args: `name`. */
  export const leaveComponent = 'himalia:leave-component';
  /** args: optionally `name`, of a component that gets a new version. */
  export const publishComponent = 'himalia:publish-component';
  /** Versions, what they change, and who uses them. args: `name`, optionally `from` and `to`, two versions. */
  export const openComponent = 'himalia:open-component';

  // environments
  /** args of this and the two below: optionally `name`, one of [environments]; this: also `upgrade` to newest versions. */
  export const buildEnvironment = 'himalia:build-environment';
  export const cancelBuild = 'himalia:cancel-build';
  /** What is in it, and the log of its last build. */
  export const openEnvironment = 'himalia:open-environment';
  /** Give the project packages of its own: a requirements file, named in himalia.toml. */
  export const ownEnvironment = 'himalia:own-environment';
  /** Restart kernels that run with an older environment. args: optionally `kernel`, its id; default: all of them. */
  export const restartOutdated = 'himalia:restart-outdated';
}
