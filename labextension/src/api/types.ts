import { components } from './schema';

type Schemas = components['schemas'];

export type Project = Schemas['ProjectView'];
export type Stage = Schemas['StageView'];
export type Template = Schemas['TemplateView'];
export type GuideCopy = Schemas['GuideCopy'];
export type Run = Schemas['RunView'];
export type StageRun = Schemas['StageRunView'];
export type Cluster = Schemas['ClusterView'];
export type Model = Schemas['ModelView'];
export type ModelVersion = Schemas['ModelVersionView'];
export type Deployment = Schemas['DeploymentView'];
export type Revision = Schemas['RevisionView'];
export type EndpointExample = Schemas['EndpointExample'];
export type Prediction = Schemas['Prediction'];
