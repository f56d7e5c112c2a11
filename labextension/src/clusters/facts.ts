import { TranslationBundle } from '@jupyterlab/translation';

import { Cluster } from '../api/types';
import { formatBytes } from '../components/format';

/** "2 of 2 workers · 2 threads · 7.8 GiB" */
export function clusterFacts(cluster: Cluster, trans: TranslationBundle): string {
  const workers =
    cluster.workers === cluster.wanted
      ? trans._n('%1 worker', '%1 workers', cluster.workers)
      : trans.__('%1 of %2 workers', cluster.workers, cluster.wanted);
  const threads = cluster.threads > 0 ? trans._n('%1 thread', '%1 threads', cluster.threads) : '';
  const memory =
    cluster.memory_bytes > 0 ? trans.__('up to %1', formatBytes(cluster.memory_bytes)) : '';
  return [workers, threads, memory].filter(Boolean).join(' · ');
}
