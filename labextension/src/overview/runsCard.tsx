import * as React from 'react';

import { CommandIDs } from '../commands';
import { Ago, Elapsed, EmptyState, StateDot, hasEnded, shortId } from '../components';
import { Card } from './card';
import { ICardProps } from './cards';

/** Runs that the card shows. */
const SHOWN = 5;

/** The latest runs. */
export function RunsCard(props: ICardProps): React.ReactElement {
  const { store, commands, trans } = props;
  const empty = (
    <EmptyState text={trans.__('None yet. Each run and its stages are listed here.')} />
  );
  return (
    <Card title={trans.__('Latest runs')} slice={store.runs} empty={empty} trans={trans}>
      {items => (
        <ul className="jp-Himalia-rows" role="list">
          {items.slice(0, SHOWN).map(run => (
            <li key={run.id}>
              <button
                type="button"
                className="jp-Himalia-runButton"
                title={trans.__('Open the run %1', run.id)}
                onClick={() => void commands.execute(CommandIDs.openRun, { run: run.id })}
              >
                <StateDot
                  state={run.status === 'running' && run.reason ? 'cancelling' : run.status}
                  trans={trans}
                />
                <span className="jp-Himalia-muted">{shortId(run.id)}</span>
                <span className="jp-Himalia-runTimes">
                  <Elapsed
                    from={run.started_at}
                    to={hasEnded(run.status) ? (run.ended_at ?? run.started_at) : null}
                    trans={trans}
                  />
                  <Ago at={run.created_at} trans={trans} />
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
