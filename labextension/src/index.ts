import { clustersPlugin } from './clusters';
import { deploymentsPlugin } from './deployments';
import { modelsPlugin } from './models';
import { overviewPlugin } from './overview';
import { pipelinesPlugin } from './pipelines';
import { projectsPlugin } from './projects';
import { servicePlugin } from './service';

/** One plugin a room; each can be disabled on its own. */
export default [
  servicePlugin,
  projectsPlugin,
  overviewPlugin,
  pipelinesPlugin,
  clustersPlugin,
  modelsPlugin,
  deploymentsPlugin
];
