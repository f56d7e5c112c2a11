import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { at } from '../api/request';
import type { StageChanges, StageStatus } from '../api/types';
import { Diff, PartBody, useAnswer } from '../components';
import type { IHimalia } from '../tokens';
import { FileChanges } from './fileChanges';

const UNFOLDED = 3;

/** Why a stage would run: what differs from its last result, cell by cell and file by file. */
export function Changes(props: {
  himalia: IHimalia;
  slug: string;
  plan: StageStatus;
  trans: TranslationBundle;
}): React.ReactElement {
  const { himalia, slug, plan, trans } = props;
  const asks = plan.state === 'changed' && plan.last_run !== null;
  const path = asks ? at('projects', slug, 'pipeline', 'stages', plan.name, 'changes') : null;
  const part = useAnswer<StageChanges>(himalia, path, trans, plan);
  return (
    <section aria-label={trans.__('What a run would do')}>
      <h3>{trans.__('What a run would do')}</h3>
      <p>{sentence(plan, trans)}</p>
      {!plan.deterministic && (
        <p className="jp-Himalia-muted">
          {trans.__(
            'The same code and inputs have led to different outputs: its results are not taken from the cache.'
          )}
        </p>
      )}
      {plan.changes.some(({ text }) => text !== plan.why) && (
        <ul className="jp-Himalia-changes">
          {plan.changes.map(change => (
            <li key={`${change.part} ${change.name}`}>{change.text}</li>
          ))}
        </ul>
      )}
      {asks && (
        <PartBody part={part} trans={trans}>
          {({ cells, files, files_left_out }) => (
            <>
              {cells.map((cell, index) => (
                <details key={index} className="jp-Himalia-diff" open={index < UNFOLDED}>
                  <summary>
                    {cell.number === null
                      ? trans.__('A cell is gone')
                      : trans.__('Cell %1', cell.number + 1)}
                  </summary>
                  <Diff text={cell.diff} label={trans.__('What has changed in the cell')} />
                </details>
              ))}
              <FileChanges
                files={files}
                leftOut={files_left_out}
                open={UNFOLDED - cells.length}
                trans={trans}
              />
            </>
          )}
        </PartBody>
      )}
    </section>
  );
}

function sentence(plan: StageStatus, trans: TranslationBundle): string {
  const why = plan.why.charAt(0).toUpperCase() + plan.why.slice(1);
  switch (plan.state) {
    case 'up_to_date':
      return trans.__('Nothing: %1.', plan.why);
    case 'invalid':
      return trans.__('It cannot run: %1.', plan.why);
    default:
      return trans.__('Run it. %1.', why);
  }
}
