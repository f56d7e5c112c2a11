import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { at } from '../api/request';
import type { Run, StageKey } from '../api/types';
import { CommandIDs } from '../commands';
import { PartBody, shortId, useAnswer } from '../components';
import type { IHimalia } from '../tokens';
import { changeWord, IKeyPart, keyParts, partWord, shortValue } from './keyParts';

interface IKeyProps {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  slug: string;
  run: Run;
  stage: string;
}

/** What a stage was made of, part by part, and what of it the run before had otherwise; asked for when unfolded. */
export function KeyView(props: IKeyProps): React.ReactElement {
  const { stage, trans } = props;
  const [open, setOpen] = React.useState(false);
  return (
    <details className="jp-Himalia-key" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>{trans.__('Key of %1', stage)}</summary>
      {open && <Parts {...props} />}
    </details>
  );
}

function Parts(props: IKeyProps): React.ReactElement {
  const { himalia, commands, trans, slug, run, stage } = props;
  const pathOf = (id: string) => at('projects', slug, 'runs', id, 'stages', stage, 'key');
  const own = useAnswer<StageKey>(himalia, pathOf(run.id), trans);
  const before = useBefore(props);
  const other = useAnswer<StageKey>(himalia, before ? pathOf(before) : null, trans);
  return (
    <PartBody part={own} trans={trans}>
      {key => {
        const parts = keyParts(key, other.value);
        const changed = parts.filter(({ change }) => change !== null && change !== 'same');
        return (
          <>
            <p>
              <code title={key.key}>{shortValue(key.key)}</code>{' '}
              {other.value && before && (
                <>
                  {changed.length === 0
                    ? trans.__('is the key that it had in the')
                    : trans._n(
                        '%1 part differs from the',
                        '%1 parts differ from the',
                        changed.length
                      )}{' '}
                  <button
                    type="button"
                    className="jp-Himalia-runLink"
                    onClick={() => void commands.execute(CommandIDs.openRun, { run: before, slug })}
                  >
                    {trans.__('run %1', shortId(before))}
                  </button>
                </>
              )}
              {other.problem && other.problem.message}
              {before === null && trans.__('No run before has this stage.')}
            </p>
            <table className="jp-Himalia-table">
              <thead>
                <tr>
                  <th scope="col">{trans.__('Part')}</th>
                  <th scope="col">{trans.__('Digest or value')}</th>
                  <th scope="col">{trans.__('Against the run before')}</th>
                </tr>
              </thead>
              <tbody>
                {parts.map((part, index) => (
                  <Row key={index} part={part} trans={trans} />
                ))}
              </tbody>
            </table>
          </>
        );
      }}
    </PartBody>
  );
}

function Row(props: { part: IKeyPart; trans: TranslationBundle }): React.ReactElement {
  const { part, trans } = props;
  const { change, value, before } = part;
  const differs = change !== null && change !== 'same';
  return (
    <tr className={differs ? 'jp-mod-changed' : undefined} data-change={change ?? undefined}>
      <th scope="row">{partWord(part, trans)}</th>
      <td>{value ? <code title={value}>{shortValue(value)}</code> : '–'}</td>
      <td>
        {change === null ? '–' : changeWord(change, trans)}
        {before && (
          <>
            {' · '}
            {trans.__('before:')} <code title={before}>{shortValue(before)}</code>
          </>
        )}
      </td>
    </tr>
  );
}

/** The newest run of the same kind before this one in which the stage has a key; undefined until that is known. */
function useBefore({ himalia, slug, run, stage, trans }: IKeyProps): string | null | undefined {
  const query = new URLSearchParams({ limit: '50', cursor: run.id, kind: run.kind });
  const path = `${at('projects', slug, 'runs')}?${query.toString()}`;
  const { value } = useAnswer<{ items: Run[] }>(himalia, path, trans);
  if (value === null) {
    return undefined;
  }
  const has = ({ stages }: Run) => stages.some(({ name, key }) => name === stage && key !== null);
  return value.items.find(has)?.id ?? null;
}
