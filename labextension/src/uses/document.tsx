import { MainAreaWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { at } from '../api/request';
import { whyNot } from '../api/roles';
import type { Comparison, ComponentDetail, ProjectComponents } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Ago,
  KeptWidget,
  PartBody,
  ProblemMessage,
  Select,
  useAnswer,
  useHimalia,
  useStore
} from '../components';
import { packageIcon } from '../frame/icons';
import type { IHimalia } from '../tokens';
import { ComparisonView } from './comparison';
import { COMPONENTS } from './question';

/** Which component, and what the document stands on. */
export interface IComponentProps {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  name: string;
  /** The versions that are compared at first; null: the two newest ones. */
  from: string | null;
  to: string | null;
}

/** A tab with a component: its versions, what they change, who uses them. */
export function makeComponentDocument(props: IComponentProps): MainAreaWidget {
  const content = new KeptWidget(<ComponentDocument {...props} />);
  content.addClass('jp-Himalia-runDocument');
  const widget = new MainAreaWidget({ content });
  widget.title.label = props.name;
  widget.title.caption = props.trans.__('The component %1', props.name);
  widget.title.icon = packageIcon;
  widget.title.closable = true;
  return widget;
}

function ComponentDocument(props: IComponentProps): React.ReactElement {
  const { himalia, trans, name } = props;
  const store = useStore(useHimalia(himalia).store);
  // published and used versions change together with what the sidebar shows
  const mine = store?.part<ProjectComponents>(COMPONENTS).value ?? null;
  const path = at('components', ...name.split('/'));
  const part = useAnswer<ComponentDetail>(himalia, path, trans, mine);
  const used = mine?.uses.find(use => use.name === name)?.version ?? null;
  return (
    <article className="jp-Himalia-run">
      <header>
        <h1>{name}</h1>
      </header>
      <PartBody part={part} trans={trans}>
        {detail => <Detail {...props} detail={detail} used={used} />}
      </PartBody>
      {part.value && part.problem && <ProblemMessage problem={part.problem} trans={trans} />}
    </article>
  );
}

function Detail(
  props: IComponentProps & { detail: ComponentDetail; used: string | null }
): React.ReactElement {
  const { detail, used, trans } = props;
  const { users, published, project } = detail;
  return (
    <>
      <dl className="jp-Himalia-facts">
        <dt>{trans.__('Published by')}</dt>
        <dd>{project ?? trans.__('a project that is gone; its versions stay')}</dd>
        <dt>{trans.__('Import')}</dt>
        <dd>
          <code>{`import ${published[0]?.modules.join(', ') ?? ''}`}</code>
        </dd>
        <dt>{trans.__('Used by')}</dt>
        <dd>
          {users.length > 0
            ? users.map(user => `${user.project} (${user.version})`).join(', ')
            : trans.__('no project')}
        </dd>
      </dl>
      <h2>{trans.__('Versions')}</h2>
      <Versions {...props} />
      {detail.versions.length > 1 && <Compare {...props} key={`${used} ${detail.newest}`} />}
    </>
  );
}

function Versions(
  props: IComponentProps & { detail: ComponentDetail; used: string | null }
): React.ReactElement {
  const { himalia, commands, trans, detail, used } = props;
  const { name } = detail;
  const refused =
    detail.project !== null && himalia.store?.slug === detail.project
      ? trans.__('Its own modules can be imported here without that.')
      : whyNot(himalia, 'component.use', trans);
  return (
    <table className="jp-Himalia-table">
      <thead>
        <tr>
          <th scope="col">{trans.__('Version')}</th>
          <th scope="col">{trans.__('What is new')}</th>
          <th scope="col">{trans.__('Published')}</th>
          <th scope="col">{trans.__('In this project')}</th>
        </tr>
      </thead>
      <tbody>
        {detail.published.map(({ version, note, problem, created_by, created_at }) => (
          <tr key={version}>
            <th scope="row">{version}</th>
            <td>
              {note || '–'}
              {problem && <p className="jp-Himalia-itemError">{problem}</p>}
            </td>
            <td>
              <Ago at={created_at} trans={trans} /> {trans.__('by %1', created_by)}
            </td>
            <td>
              {version === used ? (
                trans.__('in use')
              ) : (
                <ActionButton
                  label={trans.__('Use %1', version)}
                  disabledReason={refused ?? problem}
                  onClick={() => void commands.execute(CommandIDs.useComponent, { name, version })}
                />
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Compare(
  props: IComponentProps & { detail: ComponentDetail; used: string | null }
): React.ReactElement {
  const { himalia, trans, detail, used } = props;
  const { versions, newest } = detail;
  const known = (version: string | null) => version !== null && versions.includes(version);
  const before = versions[Math.max(0, versions.indexOf(newest) - 1)];
  const [from, setFrom] = React.useState(
    () => [props.from, used === newest ? before : used, before].find(known) ?? before
  );
  const [to, setTo] = React.useState(() => (known(props.to) ? (props.to ?? newest) : newest));
  const question = new URLSearchParams({ from, to }).toString();
  const path = `${at('components', ...detail.name.split('/'))}/compare?${question}`;
  const part = useAnswer<Comparison>(himalia, from === to ? null : path, trans);
  const choice = (label: string, value: string, set: (version: string) => void) => (
    <label className="jp-Himalia-pick">
      {label}
      <Select value={value} onChange={event => set(event.target.value)}>
        {[...versions].reverse().map(version => (
          <option key={version}>{version}</option>
        ))}
      </Select>
    </label>
  );
  return (
    <section aria-label={trans.__('What changes')}>
      <h2>{trans.__('What changes')}</h2>
      <div className="jp-Himalia-picks">
        {choice(trans.__('from'), from, setFrom)}
        {choice(trans.__('to'), to, setTo)}
      </div>
      {from === to ? (
        <p className="jp-Himalia-muted">{trans.__('Choose two versions.')}</p>
      ) : (
        <PartBody part={part} trans={trans}>
          {comparison => <ComparisonView comparison={comparison} trans={trans} />}
        </PartBody>
      )}
    </section>
  );
}
