import { Cluster, Project } from '../api/types';
import { IProjectStore } from '../tokens';

/** A name for a new cluster: one that a stage waits for, else a free one. */
export function suggestName(project: Project, clusters: readonly Cluster[]): string {
  const taken = new Set(clusters.map(cluster => cluster.name));
  const wanted = project.stages.map(stage => stage.cluster).find(name => name && !taken.has(name));
  if (wanted) {
    return wanted;
  }
  let name = 'local';
  for (let number = 2; taken.has(name); number += 1) {
    name = `local-${number}`;
  }
  return name;
}

/** The stages that run now and use a cluster. */
export function usersOf(store: Pick<IProjectStore, 'project' | 'runs'>, cluster: string): string[] {
  const using = new Set(
    store.project.stages.filter(stage => stage.cluster === cluster).map(stage => stage.name)
  );
  const running = (store.runs.items ?? []).filter(run => run.status === 'running');
  return running
    .flatMap(run => run.stages)
    .filter(stage => stage.status === 'running' && using.has(stage.name))
    .map(stage => stage.name);
}
