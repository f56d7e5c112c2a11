import { TranslationBundle } from '@jupyterlab/translation';
import { closeIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import type { Component, ComponentUse, ProjectComponents } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  EmptyState,
  IconButton,
  PartBody,
  repairFirst,
  repeatsManifest
} from '../components';
import { deployIcon, packageIcon } from '../frame/icons';
import type { IProjectStore } from '../tokens';
import { COMPONENTS, newer } from './question';

interface ISectionProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** What the project uses of others, and what others can use of it. */
export default function UsesSection(props: ISectionProps): React.ReactElement {
  const { store, commands, trans } = props;
  const isKnown = (problem: string) => repeatsManifest(store.project, problem);
  return (
    <PartBody
      part={store.part<ProjectComponents>(COMPONENTS)}
      project={store.project}
      trans={trans}
    >
      {({ uses, publishes, problems }) => (
        <>
          {problems.some(isKnown) && (
            <p className="jp-Himalia-muted">{repairFirst(store.project, trans)}</p>
          )}
          {uses.length + publishes.length + problems.length === 0 && (
            <EmptyState
              text={trans.__(
                'No components. Code in src/ that is published here can be imported by other projects, in the version that they choose.'
              )}
              action={{
                label: trans.__('Use a component…'),
                onClick: () => void commands.execute(CommandIDs.useComponent),
                disabledReason: refusedBy(store.project.role, 'component.use', trans)
              }}
            />
          )}
          {uses.length > 0 && (
            <ul className="jp-Himalia-items" role="list" aria-label={trans.__('Used components')}>
              {uses.map(use => (
                <UseRow key={use.name} use={use} {...props} />
              ))}
            </ul>
          )}
          {publishes.length > 0 && (
            <>
              <h4>{trans.__('Published')}</h4>
              <ul className="jp-Himalia-items" role="list" aria-label={trans.__('Published')}>
                {publishes.map(component => (
                  <PublishedRow key={component.name} component={component} {...props} />
                ))}
              </ul>
            </>
          )}
          {problems
            .filter(problem => !isKnown(problem))
            .map(problem => (
              <p key={problem} className="jp-Himalia-itemError">
                {problem}
              </p>
            ))}
        </>
      )}
    </PartBody>
  );
}

function UseRow(props: ISectionProps & { use: ComponentUse }): React.ReactElement {
  const { use, store, commands, trans } = props;
  const { name, version, modules, problem } = use;
  const next = newer(use);
  const refused = refusedBy(store.project.role, 'component.use', trans);
  const open = (args: Record<string, string>) =>
    void commands.execute(CommandIDs.openComponent, { name, ...args });
  return (
    <li className="jp-Himalia-item">
      <div className="jp-Himalia-itemHead">
        <packageIcon.react tag="span" className="jp-Himalia-itemIcon" aria-hidden="true" />
        <button
          type="button"
          className="jp-Himalia-itemName"
          title={trans.__('Open the component %1', name)}
          onClick={() => open({})}
        >
          {name} {version}
        </button>
        <span className="jp-Himalia-itemActions">
          <IconButton
            label={trans.__('Stop using %1', name)}
            icon={closeIcon}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.leaveComponent, { name })}
          />
        </span>
      </div>
      {modules.length > 0 && (
        <div className="jp-Himalia-itemFacts">{trans.__('import %1', modules.join(', '))}</div>
      )}
      {problem && <div className="jp-Himalia-itemError">{problem}</div>}
      {next !== null && (
        <div className="jp-Himalia-itemRequest">
          <span>{trans.__('%1 is available', next)}</span>
          <ActionButton
            label={trans.__('What changes?')}
            title={trans.__('Compare %1 with %2', version, next)}
            onClick={() => open({ from: version, to: next })}
          />
        </div>
      )}
    </li>
  );
}

function PublishedRow(props: ISectionProps & { component: Component }): React.ReactElement {
  const { component, store, commands, trans } = props;
  const { name, newest } = component;
  return (
    <li className="jp-Himalia-item">
      <div className="jp-Himalia-itemHead">
        <packageIcon.react tag="span" className="jp-Himalia-itemIcon" aria-hidden="true" />
        <button
          type="button"
          className="jp-Himalia-itemName"
          title={trans.__('Open the component %1', name)}
          onClick={() => void commands.execute(CommandIDs.openComponent, { name })}
        >
          {name} {newest}
        </button>
        <span className="jp-Himalia-itemActions">
          <IconButton
            label={trans.__('Publish a new version of %1', name)}
            icon={deployIcon}
            disabledReason={refusedBy(store.project.role, 'component.publish', trans)}
            onClick={() => void commands.execute(CommandIDs.publishComponent, { name })}
          />
        </span>
      </div>
      <div className="jp-Himalia-itemFacts">
        {trans._n('used by %1 project', 'used by %1 projects', component.used_by)}
      </div>
    </li>
  );
}
