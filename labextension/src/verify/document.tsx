import { MainAreaWidget } from '@jupyterlab/apputils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { at } from '../api/request';
import { whyNot } from '../api/roles';
import type { VerificationDetail, VerifiedCell } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Ago,
  formatExact,
  KeptWidget,
  notifyProblem,
  PartBody,
  shortId,
  StateDot,
  useAnswer,
  useHimalia,
  useStore
} from '../components';
import type { IHimalia } from '../tokens';
import { verifyIcon } from './icons';
import { Outputs } from './outputs';
import { verificationOf, verificationState, verificationWord } from './question';

/** Which verification, and what the document stands on. */
export interface IVerifyProps {
  himalia: IHimalia;
  commands: CommandRegistry;
  rendermime: IRenderMimeRegistry;
  trans: TranslationBundle;
  slug: string;
  id: string;
}

/** A tab with what a verification has found. */
export function makeVerifyDocument(props: IVerifyProps): MainAreaWidget {
  const { trans, id, slug } = props;
  const content = new KeptWidget(<VerifyDocument {...props} />);
  content.addClass('jp-Himalia-runDocument');
  const widget = new MainAreaWidget({ content });
  widget.title.label = trans.__('Verification %1', shortId(id));
  widget.title.caption = trans.__('A verification of the project %1', slug);
  widget.title.icon = verifyIcon;
  widget.title.closable = true;
  return widget;
}

function VerifyDocument(props: IVerifyProps): React.ReactElement {
  const { trans, slug, id } = props;
  const himalia = useHimalia(props.himalia);
  const store = useStore(himalia.store);
  const [notebook, setNotebook] = React.useState<string | null>(null);
  const newest = store && notebook !== null ? verificationOf(store, notebook) : null;
  // how far it is follows from the events of the notebook's newest one, which this is while it runs
  const state = newest && `${newest.id} ${newest.status} ${newest.cell} ${newest.current}`;
  const path = at('projects', slug, 'verifications', id);
  const part = useAnswer<VerificationDetail>(himalia, path, trans, state);
  if (part.value && part.value.notebook !== notebook) {
    setNotebook(part.value.notebook);
  }
  return (
    <article className="jp-Himalia-run">
      <PartBody part={part} trans={trans}>
        {found => <Found {...props} found={found} />}
      </PartBody>
    </article>
  );
}

type IFoundProps = IVerifyProps & { found: VerificationDetail };

function Found(props: IFoundProps): React.ReactElement {
  const { himalia, commands, trans, slug, id, found } = props;
  const running = found.status === 'running';
  const first = found.compared.find(cell => cell.number === found.first?.number) ?? null;
  const cancel = () =>
    himalia
      .request('POST', at('projects', slug, 'verifications', id, 'cancel'))
      .then(undefined, (error: unknown) =>
        notifyProblem(trans.__('The verification goes on.'), error, trans)
      );
  return (
    <>
      <header className="jp-Himalia-panelHead">
        <h1>{trans.__('Verification of %1', found.notebook)}</h1>
        <span role="status">
          <StateDot
            state={verificationState(found)}
            label={verificationWord(found, trans)}
            trans={trans}
          />
        </span>
        <span className="jp-Himalia-fill" />
        {found.runs.length > 0 && (
          <ActionButton
            label={trans.__('What ran')}
            title={trans.__('The notebook as the clean kernel executed it')}
            disabledReason={running ? trans.__('It still runs.') : null}
            onClick={() =>
              void commands.execute(CommandIDs.openExecutedNotebook, {
                slug,
                run: found.runs[found.runs.length - 1],
                stage: 'notebook'
              })
            }
          />
        )}
        {running && (
          <ActionButton
            label={trans.__('Cancel')}
            disabledReason={whyNot(himalia, 'verify.start', trans)}
            onClick={() => void cancel()}
          />
        )}
      </header>
      {found.reason && <p className="jp-Himalia-itemError">{found.reason}</p>}
      {running && found.cells > 0 && (
        <div className="jp-Himalia-progress">
          <progress
            value={found.cell}
            max={found.cells}
            aria-label={trans.__('Progress of the verification')}
          />
        </div>
      )}
      <Facts {...props} />
      {first && (
        <section aria-label={trans.__('The first cell that differs')}>
          <h2>{trans.__('The first cell that differs: cell %1', first.number)}</h2>
          <Twins {...props} cell={first} />
        </section>
      )}
      {found.causes.length > 0 && (
        <section aria-label={trans.__('Likely causes')}>
          <h2>{trans.__('Likely causes')}</h2>
          <ul className="jp-Himalia-changes">
            {found.causes.map((cause, index) => (
              <li key={index}>
                {cause.evidence} {cause.advice}{' '}
                <span className="jp-Himalia-muted">({certaintyWord(cause.certainty, trans)})</span>
              </li>
            ))}
          </ul>
        </section>
      )}
      {found.compared.length > 0 && <Cells {...props} first={first} />}
    </>
  );
}

function Facts(props: IFoundProps): React.ReactElement {
  const { trans, found } = props;
  const counts = Object.entries(found.counts).filter(([, count]) => count > 0);
  return (
    <dl className="jp-Himalia-facts">
      <dt>{trans.__('Started')}</dt>
      <dd>
        <Ago at={found.created_at} trans={trans} />{' '}
        {trans.__('(%1) by %2', formatExact(found.created_at), found.created_by)}
      </dd>
      {counts.length > 0 && (
        <>
          <dt>{trans.__('Cells')}</dt>
          <dd>{counts.map(([key, count]) => `${count} ${cellWord(key, trans)}`).join(', ')}</dd>
        </>
      )}
      {found.inputs.length > 0 && (
        <>
          <dt>{trans.__('Inputs')}</dt>
          <dd>
            <code>{found.inputs.join(', ')}</code>
          </dd>
        </>
      )}
      {found.nondeterministic !== null && (
        <>
          <dt>{trans.__('Second clean run')}</dt>
          <dd>
            {found.nondeterministic
              ? trans.__('differs from the first: the notebook itself is not deterministic')
              : trans.__('agrees with the first')}
          </dd>
        </>
      )}
      {found.rules.length > 0 && (
        <>
          <dt>{trans.__('Taken as meaningless')}</dt>
          <dd>{found.rules.join(', ').replace(/_/g, ' ')}</dd>
        </>
      )}
    </dl>
  );
}

/** A cell's outputs as they were saved, beside those of the clean kernel. */
function Twins(props: IFoundProps & { cell: VerifiedCell }): React.ReactElement {
  const { rendermime, trans, cell } = props;
  return (
    <>
      <pre className="jp-Himalia-liveLog" tabIndex={0} aria-label={trans.__('Source of the cell')}>
        {cell.source}
      </pre>
      {cell.differences.map((difference, index) => (
        <p key={index}>{difference.detail}</p>
      ))}
      <div className="jp-Himalia-twins">
        <div>
          <h3>{trans.__('Saved')}</h3>
          <Outputs
            outputs={cell.saved}
            rendermime={rendermime}
            label={trans.__('Saved outputs')}
            trans={trans}
          />
        </div>
        <div>
          <h3>{trans.__('Now, in a clean kernel')}</h3>
          <Outputs
            outputs={cell.now}
            rendermime={rendermime}
            label={trans.__('Outputs of the clean kernel')}
            trans={trans}
          />
        </div>
        {cell.second.length > 0 && (
          <div>
            <h3>{trans.__('In a second clean kernel')}</h3>
            <Outputs
              outputs={cell.second}
              rendermime={rendermime}
              label={trans.__('Outputs of the second clean kernel')}
              trans={trans}
            />
          </div>
        )}
      </div>
    </>
  );
}

function Cells(props: IFoundProps & { first: VerifiedCell | null }): React.ReactElement {
  const { trans, found, first } = props;
  return (
    <section aria-label={trans.__('All code cells')}>
      <h2>{trans.__('All code cells')}</h2>
      <ol className="jp-Himalia-attempts">
        {found.compared.map(cell => {
          const [line] = cell.source.split('\n', 1);
          const head = (
            <>
              <StateDot
                state={cellState(cell.status)}
                label={cellWord(cell.status, trans)}
                trans={trans}
              />{' '}
              <code>{line.slice(0, 80)}</code>
            </>
          );
          return (
            <li key={cell.number} value={cell.number}>
              {cell !== first && cell.differences.length > 0 ? (
                <details>
                  <summary>{head}</summary>
                  <Twins {...props} cell={cell} />
                </details>
              ) : (
                head
              )}
              {cell.notes.map(note => (
                <p key={note} className="jp-Himalia-muted">
                  {note}
                </p>
              ))}
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function cellState(status: string): string {
  switch (status) {
    case 'identical':
    case 'within_tolerance':
      return 'verified';
    case 'differs':
      return 'differs';
    case 'not_comparable':
      return 'requested';
    default:
      return 'not_run';
  }
}

function cellWord(status: string, trans: TranslationBundle): string {
  switch (status) {
    case 'identical':
      return trans.__('identical');
    case 'within_tolerance':
      return trans.__('within tolerance');
    case 'differs':
      return trans.__('differs');
    case 'not_comparable':
      return trans.__('not comparable');
    case 'not_run':
      return trans.__('not reached');
    case 'no_saved_output':
      return trans.__('without saved output');
    default:
      return status.replace(/_/g, ' ');
  }
}

function certaintyWord(certainty: string, trans: TranslationBundle): string {
  switch (certainty) {
    case 'sure':
      return trans.__('sure');
    case 'likely':
      return trans.__('likely');
    default:
      return trans.__('possible');
  }
}
