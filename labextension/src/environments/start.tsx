import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Environment } from '../api/types';
import { formatBytes, StateDot } from '../components';

type Start = NonNullable<Environment['start']>;

/** How the next kernel starts: what it finds imported, and what each import took once. */
export function KernelStart(props: { start: Start; trans: TranslationBundle }): React.ReactElement {
  const { start, trans } = props;
  const tried = start.modules.filter(
    ({ seconds, problem }) => seconds !== null || problem !== null
  );
  return (
    <section aria-label={trans.__('Kernel start')}>
      <h2>{trans.__('Kernel start')}</h2>
      <p>
        <StateDot state={dot(start.state)} label={word(start.state, trans)} trans={trans} />{' '}
        {sentence(start, trans)}
      </p>
      {tried.length > 0 && <Imports modules={tried} trans={trans} />}
      <p className="jp-Himalia-muted">
        {trans.__('What is imported beforehand stands in himalia.toml: preload, under [kernel].')}
      </p>
    </section>
  );
}

/** A bar for each module, the longest import first. */
function Imports(props: {
  modules: Start['modules'];
  trans: TranslationBundle;
}): React.ReactElement {
  const { modules, trans } = props;
  const longest = Math.max(0.001, ...modules.map(({ seconds }) => seconds ?? 0));
  const sorted = [...modules].sort((one, other) => (other.seconds ?? 0) - (one.seconds ?? 0));
  return (
    <table className="jp-Himalia-table jp-Himalia-imports">
      <thead>
        <tr>
          <th scope="col">{trans.__('Module')}</th>
          <th scope="col">{trans.__('Import')}</th>
        </tr>
      </thead>
      <tbody>
        {sorted.map(({ name, seconds, problem }) => (
          <tr key={name}>
            <th scope="row">
              <code>{name}</code>
            </th>
            <td>
              {problem ?? (
                <>
                  <span
                    className="jp-Himalia-importBar"
                    style={{ width: `${Math.round((100 * (seconds ?? 0)) / longest)}px` }}
                    aria-hidden="true"
                  />
                  {trans.__('%1 s', (seconds ?? 0).toFixed(2))}
                </>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function sentence(start: Start, trans: TranslationBundle): string {
  if (start.state === 'ready') {
    return trans.__(
      'All imports took %1 s, once; they are kept in %2 of memory. Kernels started so far: %3.',
      (start.seconds ?? 0).toFixed(1),
      formatBytes(start.bytes ?? 0),
      start.forks
    );
  }
  switch (start.state) {
    case 'starting':
      return trans.__(
        'The modules are being imported. Until then kernels start as ordinary processes.'
      );
    case 'none':
      return trans.__(
        'The imports begin with the next kernel, which starts as an ordinary process; those after it find them done.'
      );
    default:
      return trans.__('Kernels start as ordinary processes: %1.', start.reason ?? '');
  }
}

function word(state: Start['state'], trans: TranslationBundle): string {
  switch (state) {
    case 'ready':
      return trans.__('at once');
    case 'starting':
      return trans.__('getting ready');
    case 'none':
      return trans.__('not ready yet');
    case 'refused':
      return trans.__('ordinary');
    case 'off':
      return trans.__('ordinary');
  }
}

function dot(state: Start['state']): string {
  switch (state) {
    case 'ready':
      return 'ready';
    case 'starting':
      return 'starting';
    case 'refused':
      return 'degraded';
    default:
      return 'pending';
  }
}
