import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Deployment } from '../api/types';
import { StateDot } from '../components';

/** Revisions of an endpoint that are shown, the newest first. */
const SHOWN = 10;

/** What has answered at the endpoint, and what does now. */
export function Revisions(props: {
  deployment: Deployment;
  trans: TranslationBundle;
}): React.ReactElement {
  const { deployment, trans } = props;
  const revisions = [...deployment.revisions].sort((a, b) => b.number - a.number);
  return (
    <section className="jp-Himalia-card">
      <h2>{trans.__('Revisions')}</h2>
      {/* may scroll in a narrow tab: has to be reached by keyboard */}
      <div
        className="jp-Himalia-scroll"
        role="group"
        aria-label={trans.__('Revisions')}
        tabIndex={0}
      >
        <table className="jp-Himalia-table">
          <thead>
            <tr>
              <th scope="col">{trans.__('No.')}</th>
              <th scope="col">{trans.__('Model')}</th>
              <th scope="col">{trans.__('State')}</th>
              <th scope="col">{trans.__('Traffic')}</th>
              <th scope="col">{trans.__('Restarts')}</th>
            </tr>
          </thead>
          <tbody>
            {revisions.slice(0, SHOWN).map(revision => (
              <React.Fragment key={revision.id}>
                <tr>
                  <td>{revision.number}</td>
                  <td title={revision.model_digest}>
                    {trans.__('%1 version %2', revision.model_name, revision.model_version)}
                  </td>
                  <td>
                    <StateDot
                      state={revision.state}
                      label={revision.state === 'retired' ? trans.__('retired') : undefined}
                      trans={trans}
                    />
                  </td>
                  <td className="jp-Himalia-nowrap">{trans.__('%1 %', revision.weight)}</td>
                  <td>{revision.restarts}</td>
                </tr>
                {revision.error && (
                  <tr>
                    <td />
                    <td colSpan={4} className="jp-Himalia-itemError">
                      {revision.error}
                    </td>
                  </tr>
                )}
              </React.Fragment>
            ))}
          </tbody>
        </table>
      </div>
      {revisions.length > SHOWN && (
        <p className="jp-Himalia-muted">
          {trans._n('and %1 older', 'and %1 older', revisions.length - SHOWN)}
        </p>
      )}
    </section>
  );
}
