import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import type { Environment } from '../api/types';
import { CommandIDs } from '../commands';
import { ActionButton, EmptyState, PartBody, repairFirst, StateDot } from '../components';
import type { IProjectStore } from '../tokens';
import {
  awaitsManifest,
  ENVIRONMENT,
  environmentState,
  environmentWord,
  failedToBuild,
  shortDigest,
  stateWord
} from './question';

interface ISectionProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** What the project's code runs in: state, lock, and what is to be done. */
export default function EnvironmentSection(props: ISectionProps): React.ReactElement {
  const { store, commands, trans } = props;
  return (
    <PartBody part={store.part<Environment>(ENVIRONMENT)} project={store.project} trans={trans}>
      {environment =>
        awaitsManifest(store, environment) ? (
          <p className="jp-Himalia-muted">{repairFirst(store.project, trans)}</p>
        ) : (
          <>
            {environment.state === 'shared' ? (
              <EmptyState
                text={trans.__(
                  'The site’s own packages, with Python %1. A requirements file gives the project its own.',
                  environment.python
                )}
                action={{
                  label: trans.__('Packages of its own…'),
                  onClick: () => void commands.execute(CommandIDs.ownEnvironment),
                  disabledReason: refusedBy(store.project.role, 'project.edit', trans)
                }}
              />
            ) : (
              <Built environment={environment} {...props} />
            )}
            {environment.others.length > 0 && <Others environment={environment} {...props} />}
          </>
        )
      }
    </PartBody>
  );
}

function Built(props: ISectionProps & { environment: Environment }): React.ReactElement {
  const { environment, store, commands, trans } = props;
  const { state, source, error, reason, build } = environment;
  const refused = refusedBy(store.project.role, 'environment.build', trans);
  const act = (command: string) => () => void commands.execute(command);
  return (
    <div className="jp-Himalia-environment">
      <div className="jp-Himalia-itemHead">
        <StateDot
          state={environmentState(state)}
          label={environmentWord(environment, trans)}
          trans={trans}
        />
        <span className="jp-Himalia-fill" />
        <button
          type="button"
          className="jp-Himalia-link"
          title={trans.__('Packages, and the log of the last build')}
          onClick={act(CommandIDs.openEnvironment)}
        >
          {trans.__('Details')}
        </button>
      </div>
      <div className="jp-Himalia-itemFacts">{facts(environment, trans)}</div>
      {state === 'building' && build?.step && (
        <p role="status" className="jp-Himalia-muted">
          {build.step}
        </p>
      )}
      {error && (
        <p className="jp-Himalia-itemError" role="alert">
          {environment.package && <strong>{environment.package}: </strong>}
          {error}
        </p>
      )}
      {state === 'outdated' && <p className="jp-Himalia-itemError">{reason}</p>}
      <div className="jp-Himalia-itemRequest">
        {state === 'building' ? (
          <ActionButton
            label={trans.__('Stop')}
            disabledReason={refused}
            onClick={act(CommandIDs.cancelBuild)}
          />
        ) : (
          state !== 'ready' && (
            <ActionButton
              primary
              label={failedToBuild(environment) ? trans.__('Build again') : trans.__('Build')}
              title={trans.__('Install what %1 asks for', source ?? '')}
              disabledReason={refused}
              onClick={act(CommandIDs.buildEnvironment)}
            />
          )
        )}
      </div>
      <Outdated {...props} />
    </div>
  );
}

/** The project's further environments, which stages run in that name them. */
function Others(props: ISectionProps & { environment: Environment }): React.ReactElement {
  const { environment, trans } = props;
  return (
    <ul className="jp-Himalia-items" role="list" aria-label={trans.__('Environments of stages')}>
      {environment.others.map(other => (
        <Other key={other.name} other={other} {...props} />
      ))}
    </ul>
  );
}

function Other(
  props: ISectionProps & { other: Environment['others'][number] }
): React.ReactElement {
  const { other, store, commands, trans } = props;
  const { name, state, source, problem } = other;
  const refused = refusedBy(store.project.role, 'environment.build', trans);
  const failed = state === 'failed' && source !== null; // without a source no build could begin
  const word =
    state === 'failed' && !failed ? trans.__('cannot be built') : stateWord(state, trans);
  const button = (command: string, label: string, title: string) => (
    <div className="jp-Himalia-itemRequest">
      <ActionButton
        label={label}
        title={title}
        disabledReason={refused}
        onClick={() => void commands.execute(command, { name })}
      />
    </div>
  );
  return (
    <li className="jp-Himalia-item" data-environment={name}>
      <div className="jp-Himalia-itemHead">
        <StateDot compact state={environmentState(state)} label={word} trans={trans} />
        <button
          type="button"
          className="jp-Himalia-itemName"
          title={trans.__('Open the environment %1: its packages, the log of its build', name)}
          onClick={() => void commands.execute(CommandIDs.openEnvironment, { name })}
        >
          {name}
        </button>
      </div>
      <div className="jp-Himalia-itemFacts">{[word, source].filter(Boolean).join(' · ')}</div>
      {problem !== null && <p className="jp-Himalia-itemError">{problem}</p>}
      {state === 'building' &&
        button(CommandIDs.cancelBuild, trans.__('Stop'), trans.__('Stop building %1', name))}
      {['none', 'failed', 'outdated'].includes(state) &&
        button(
          CommandIDs.buildEnvironment,
          failed ? trans.__('Build again') : trans.__('Build'),
          trans.__('Install what [environments.%1] asks for', name)
        )}
    </li>
  );
}

/** Kernels that were started before the packages changed. */
function Outdated(props: ISectionProps & { environment: Environment }): React.ReactElement | null {
  const { environment, commands, trans } = props;
  const count = environment.kernels_outdated.length;
  if (count === 0) {
    return null;
  }
  return (
    <div className="jp-Himalia-itemRequest" role="status">
      <span>
        {trans._n(
          '%1 kernel runs with the older environment',
          '%1 kernels run with the older environment',
          count
        )}
      </span>
      <ActionButton
        label={trans.__('Restart…')}
        onClick={() => void commands.execute(CommandIDs.restartOutdated)}
      />
    </div>
  );
}

/** "requirements.txt · overlay · 12 packages · Python 3.12.1 · lock 0f0f0f0f" */
function facts(environment: Environment, trans: TranslationBundle): string {
  const { source, kind, packages, python, digest } = environment;
  return [
    source,
    kind,
    packages === null ? null : trans._n('%1 package', '%1 packages', packages),
    trans.__('Python %1', python),
    digest === 'shared' ? null : trans.__('lock %1', shortDigest(digest))
  ]
    .filter(Boolean)
    .join(' · ');
}
