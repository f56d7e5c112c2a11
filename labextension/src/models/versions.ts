import { Model, ModelVersion } from '../api/types';

/** The alias of the version that should answer. */
export const CHAMPION = 'champion';

/** The version that holds an alias. */
export function holder(model: Model, alias: string): ModelVersion | null {
  return model.versions.find(version => version.aliases.includes(alias)) ?? null;
}

/** The newest version first. */
export function newestFirst(model: Model): ModelVersion[] {
  return [...model.versions].sort((a, b) => Number(b.version) - Number(a.version));
}

/** Models by their newest version, the model that got one last first. */
export function latestModels(models: readonly Model[]): Model[] {
  const born = (model: Model) => Math.max(0, ...model.versions.map(v => v.created_at ?? 0));
  return [...models].sort((a, b) => born(b) - born(a));
}

/** How a deployment names a version. */
export function modelUri(model: string, version: string): string {
  return `models:/${model}/${version}`;
}

/** How a deployment names the version that holds an alias. */
export function aliasUri(model: string, alias: string): string {
  return `models:/${model}@${alias}`;
}

/** The route of MLflow's page of a version, after the # of its address. */
export function versionFragment(model: string, version?: string): string {
  const base = `/models/${encodeURIComponent(model)}`;
  return version === undefined ? base : `${base}/versions/${encodeURIComponent(version)}`;
}
