import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { at } from '../api/request';
import type { Environment, Package } from '../api/types';
import { PartBody, useAnswer } from '../components';
import type { IHimalia } from '../tokens';
import { chosen } from './question';

/** Packages that are asked for; a lock that has more is told so. */
const MOST = 200;

/** The packages of the lock, with a filter where there are many. */
export function Packages(props: {
  himalia: IHimalia;
  trans: TranslationBundle;
  slug: string;
  environment: Environment;
}): React.ReactElement {
  const { himalia, trans, slug, environment } = props;
  const which = chosen(environment.environment, '&');
  const path = `${at('projects', slug, 'environment', 'packages')}?limit=${MOST}${which}`;
  const part = useAnswer<{ items: Package[]; next: string | null }>(
    himalia,
    path,
    trans,
    environment.digest
  );
  return (
    <section aria-label={trans.__('Packages')}>
      <h2>{trans.__('Packages')}</h2>
      <PartBody part={part} trans={trans}>
        {({ items, next }) => (
          <>
            {items.length > 0 ? (
              <PackageTable items={items} trans={trans} />
            ) : (
              <p className="jp-Himalia-muted">{trans.__('No packages beyond the site’s own.')}</p>
            )}
            {next !== null && (
              <p className="jp-Himalia-muted">
                {trans.__('The first %1 are shown; the lock file names all.', MOST)}
              </p>
            )}
          </>
        )}
      </PartBody>
    </section>
  );
}

function PackageTable(props: { items: Package[]; trans: TranslationBundle }): React.ReactElement {
  const { items, trans } = props;
  const [filter, setFilter] = React.useState('');
  const shown = items.filter(({ name }) => name.includes(filter.trim().toLowerCase()));
  return (
    <>
      {items.length > 20 && (
        <input
          type="text"
          className="jp-Himalia-filter"
          aria-label={trans.__('Filter packages')}
          placeholder={trans.__('Type to filter')}
          value={filter}
          onChange={event => setFilter(event.target.value)}
        />
      )}
      <table className="jp-Himalia-table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Package')}</th>
            <th scope="col">{trans.__('Version')}</th>
            <th scope="col">{trans.__('Where')}</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ name, version, marker, installed }) => (
            <tr key={`${name} ${version} ${marker}`}>
              <th scope="row">{name}</th>
              <td>{version}</td>
              <td>
                {installed ? trans.__('installed') : trans.__('not for this machine')}
                {marker && !installed && <code> {marker}</code>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
