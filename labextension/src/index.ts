import { clustersPlugin } from './clusters';
import { deploymentsPlugin } from './deployments';
import { environmentsPlugin } from './environments';
import { manifestPlugin } from './manifest';
import { modelsPlugin } from './models';
import { noticesPlugin } from './notices';
import { overviewPlugin } from './overview';
import { pipelinesPlugin } from './pipelines';
import { projectsPlugin } from './projects';
import { schedulesPlugin } from './schedules';
import { secretsPlugin } from './secrets';
import { servicePlugin } from './service';
import { teamPlugin } from './team';
import { componentsPlugin } from './uses';
import { verifyPlugin } from './verify';

/** One plugin a room; each can be disabled on its own. */
export default [
  servicePlugin,
  projectsPlugin,
  overviewPlugin,
  pipelinesPlugin,
  schedulesPlugin,
  noticesPlugin,
  verifyPlugin,
  clustersPlugin,
  modelsPlugin,
  deploymentsPlugin,
  environmentsPlugin,
  secretsPlugin,
  componentsPlugin,
  teamPlugin,
  manifestPlugin
];
