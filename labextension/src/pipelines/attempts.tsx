import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Attempt } from '../api/types';
import { CommandIDs } from '../commands';
import { ActionButton, Elapsed, PartBody, StateDot } from '../components';
import type { IPart } from '../tokens';
import { splitError } from './rows';

/** The tries of a stage that was tried again. */
export function Attempts(props: {
  part: IPart<Attempt[]>;
  slug: string;
  run: string;
  stage: string;
  commands: CommandRegistry;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { part, slug, run, stage, commands, trans } = props;
  if (part.value?.length === 0) {
    return null; // it ended at the first
  }
  return (
    <section aria-label={trans.__('Attempts of %1', stage)}>
      <h3>{trans.__('Earlier attempts')}</h3>
      <PartBody part={part} trans={trans}>
        {attempts => (
          <ol className="jp-Himalia-attempts">
            {attempts.map(attempt => {
              const args = { slug, run, stage, attempt: attempt.number };
              return (
                <li key={attempt.number}>
                  <StateDot state={attempt.status} trans={trans} />{' '}
                  <Elapsed from={attempt.started_at} to={attempt.ended_at} trans={trans} />
                  {attempt.error && <span>{splitError(attempt.error).summary}</span>}
                  {attempt.notebook && (
                    <ActionButton
                      label={trans.__('Notebook')}
                      title={trans.__('The notebook as attempt %1 left it', attempt.number)}
                      onClick={() => void commands.execute(CommandIDs.openExecutedNotebook, args)}
                    />
                  )}
                  {attempt.log && (
                    <ActionButton
                      label={trans.__('Log')}
                      title={trans.__('What attempt %1 printed', attempt.number)}
                      onClick={() => void commands.execute(CommandIDs.openStageLog, args)}
                    />
                  )}
                </li>
              );
            })}
          </ol>
        )}
      </PartBody>
    </section>
  );
}
