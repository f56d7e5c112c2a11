import { MainAreaWidget } from '@jupyterlab/apputils';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import type { Environment } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  formatBytes,
  KeptWidget,
  PartBody,
  repairFirst,
  StateDot
} from '../components';
import { StoreGate } from '../frame/gate';
import { packageIcon } from '../frame/icons';
import type { IHimalia, IProjectStore } from '../tokens';
import { BuildLog } from './log';
import { Packages } from './packages';
import { KernelStart } from './start';
import { awaitsManifest, environmentState, environmentWord, questionOf } from './question';

/** Whose environment, and what the document stands on. */
export interface IEnvironmentProps {
  himalia: IHimalia;
  commands: CommandRegistry;
  serverSettings: ServerConnection.ISettings;
  trans: TranslationBundle;
  slug: string;
  /** One of [environments]; null: the project's own. */
  name: string | null;
}

/** A tab with the project's environment: state, packages, the log of its build. */
export function makeEnvironmentDocument(props: IEnvironmentProps): MainAreaWidget {
  const { himalia, commands, trans, slug, name } = props;
  const content = new KeptWidget(
    <StoreGate himalia={himalia} commands={commands} trans={trans} slug={slug}>
      {store => <EnvironmentDocument {...props} store={store} />}
    </StoreGate>
  );
  content.addClass('jp-Himalia-runDocument');
  const widget = new MainAreaWidget({ content });
  widget.title.label = titleOf(name, trans);
  widget.title.caption =
    name === null
      ? trans.__('The environment of the project %1', slug)
      : trans.__(
          'The environment %1 of the project %2, in which stages run that name it',
          name,
          slug
        );
  widget.title.icon = packageIcon;
  widget.title.closable = true;
  return widget;
}

function titleOf(name: string | null, trans: TranslationBundle): string {
  return name === null ? trans.__('Environment') : trans.__('Environment %1', name);
}

function EnvironmentDocument(
  props: IEnvironmentProps & { store: IProjectStore }
): React.ReactElement {
  const { store, trans, name } = props;
  const question = React.useMemo(() => questionOf(name), [name]);
  return (
    <article className="jp-Himalia-run">
      <PartBody part={store.part<Environment>(question)} project={store.project} trans={trans}>
        {environment => <Content {...props} environment={environment} />}
      </PartBody>
    </article>
  );
}

function Content(
  props: IEnvironmentProps & { store: IProjectStore; environment: Environment }
): React.ReactElement {
  const { store, environment, commands, trans, name } = props;
  const { state, build, notes } = environment;
  const waits = awaitsManifest(store, environment);
  const refused = refusedBy(store.project.role, 'environment.build', trans);
  const own = state !== 'shared';
  const there = name === null || environment.digest !== 'shared'; // of a stage's: it was built once
  return (
    <>
      <header>
        <h1>{titleOf(name, trans)}</h1>
        <span role="status">
          <StateDot
            state={waits ? 'pending' : environmentState(state)}
            label={
              waits
                ? repairFirst(store.project, trans)
                : (build?.step ?? environmentWord(environment, trans))
            }
            trans={trans}
          />
        </span>
        <span className="jp-Himalia-fill" />
        {state === 'building' ? (
          <ActionButton
            label={trans.__('Stop building')}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.cancelBuild, { name })}
          />
        ) : (
          own &&
          !waits && (
            <>
              <ActionButton
                label={trans.__('Upgrade packages')}
                title={trans.__(
                  'Take the newest versions that %1 allows',
                  environment.source ?? ''
                )}
                disabledReason={refused}
                onClick={() =>
                  void commands.execute(CommandIDs.buildEnvironment, { name, upgrade: true })
                }
              />
              <ActionButton
                label={trans.__('Build')}
                primary={state !== 'ready'}
                disabledReason={refused}
                onClick={() => void commands.execute(CommandIDs.buildEnvironment, { name })}
              />
            </>
          )
        )}
      </header>
      {!waits && <Failure environment={environment} there={there} trans={trans} />}
      {environment.reason && state === 'outdated' && <p>{environment.reason}</p>}
      {there && <Facts environment={environment} trans={trans} />}
      {notes.map(note => (
        <p key={note} className="jp-Himalia-muted">
          {note}
        </p>
      ))}
      {environment.start && name === null && (
        <KernelStart start={environment.start} trans={trans} />
      )}
      {environment.packages !== null && <Packages {...props} />}
      {build && environment.log && <BuildLog {...props} build={build} />}
      {!own && (
        <p>
          {trans.__(
            'This project uses the packages that the site has. To give it its own, name a requirements file in himalia.toml under [environment].'
          )}
        </p>
      )}
    </>
  );
}

/** Why there is none, or not the one that is asked for. */
function Failure(props: {
  environment: Environment;
  /** Something is in use meanwhile. */
  there: boolean;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { environment, there, trans } = props;
  const { error } = environment;
  if (!error) {
    return null;
  }
  return (
    <p className="jp-Himalia-problem" role="alert">
      <StateDot state="failed" label={trans.__('Problem')} compact trans={trans} />
      <span className="jp-Himalia-problemText">
        {environment.package && <strong>{environment.package}: </strong>}
        {error} {there && trans.__('What was there before stays in use.')}
      </span>
    </p>
  );
}

function Facts(props: { environment: Environment; trans: TranslationBundle }): React.ReactElement {
  const { environment, trans } = props;
  const { source, kind, python, interpreter, digest, bytes } = environment;
  const others = environment.shared_with;
  const rows: [string, React.ReactNode][] = [
    [trans.__('From'), source && <code>{source}</code>],
    [
      trans.__('Kind'),
      kind === 'overlay'
        ? trans.__('overlay: what differs from the site’s own packages')
        : kind && trans.__('isolated: all packages are its own')
    ],
    [trans.__('Python'), `${python} (${interpreter})`],
    [trans.__('Lock'), digest !== 'shared' && <code>{digest}</code>],
    [trans.__('Size'), bytes !== null && formatBytes(bytes)],
    [
      trans.__('Shared'),
      others > 0 &&
        trans._n('with %1 other project', 'with %1 other projects, once on the disk', others)
    ]
  ];
  return (
    <dl className="jp-Himalia-facts">
      {rows
        .filter(([, value]) => Boolean(value))
        .map(([name, value]) => (
          <React.Fragment key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </React.Fragment>
        ))}
    </dl>
  );
}
