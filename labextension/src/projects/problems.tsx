import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import type { ManifestProblem } from '../api/types';
import { CommandIDs } from '../commands';
import { ProblemMessage, StateDot } from '../components';
import { IProblemList, PROBLEMS } from '../manifest/question';
import type { IProjectStore } from '../tokens';

/** As many as are shown at once. */
const SHOWN = 5;

interface IProblemsProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** What is wrong with the manifest of the open project; each problem leads to its line. */
export function Problems(props: IProblemsProps): React.ReactElement | null {
  const { store, commands, trans } = props;
  const [all, setAll] = React.useState(false);
  const { value } = store.part<IProblemList>(PROBLEMS);
  const items = value?.items ?? [];
  if (items.length === 0) {
    // the service tells one sentence before the list has come
    const { problem } = store.project;
    const told = trans.__('himalia.toml cannot be read.');
    return problem ? <Unreadable {...props} message={told} hint={problem} /> : null;
  }
  const [first] = items;
  if (first.key === '') {
    const { line, column, message, hint } = first; // no TOML: there is this one fault
    const told = trans.__('himalia.toml cannot be read: %1.', message.replace(/\.$/, ''));
    return <Unreadable {...props} message={told} hint={hint ?? ''} line={line} column={column} />;
  }
  const worst = items.some(({ severity }) => severity === 'error');
  return (
    <section className="jp-Himalia-problems" aria-label={trans.__('Problems')}>
      <h3>
        <StateDot
          state={worst ? 'failed' : 'lost'}
          label={trans._n(
            '%1 problem in himalia.toml',
            '%1 problems in himalia.toml',
            items.length
          )}
          trans={trans}
        />
      </h3>
      <ul role="list">
        {items.slice(0, all ? undefined : SHOWN).map((item, number) => (
          <Row key={number} item={item} commands={commands} trans={trans} />
        ))}
      </ul>
      {items.length > SHOWN && !all && (
        <button type="button" className="jp-Himalia-link" onClick={() => setAll(true)}>
          {trans._n('%1 more', '%1 more', items.length - SHOWN)}
        </button>
      )}
    </section>
  );
}

/** A manifest of which nothing can be read, with the way to its line. */
function Unreadable(
  props: Pick<IProblemsProps, 'commands' | 'trans'> & {
    message: string;
    hint: string;
    line?: number;
    column?: number;
  }
): React.ReactElement {
  const { commands, trans, message, hint, line, column } = props;
  return (
    <ProblemMessage
      trans={trans}
      problem={{ message, hint, status: 422 }}
      action={{
        label:
          line === undefined ? trans.__('Open himalia.toml') : trans.__('Open it at line %1', line),
        onClick: () => void commands.execute(CommandIDs.openManifest, { line, column })
      }}
    />
  );
}

function Row(props: {
  item: ManifestProblem;
  commands: CommandRegistry;
  trans: TranslationBundle;
}): React.ReactElement {
  const { item, commands, trans } = props;
  const { line, column, key, message, hint } = item;
  return (
    <li>
      <button
        type="button"
        className="jp-Himalia-link"
        title={trans.__('Open himalia.toml at line %1', line)}
        onClick={() => void commands.execute(CommandIDs.openManifest, { line, column })}
      >
        {trans.__('Line %1', line)}
      </button>{' '}
      {key && <code>{key}</code>} {message}
      {hint && <span className="jp-Himalia-muted"> {hint}</span>}
    </li>
  );
}
