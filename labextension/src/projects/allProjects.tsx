import { MainAreaWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, caretDownIcon, caretUpIcon, ellipsesIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import type { Project } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Ago,
  EmptyState,
  IconButton,
  KeptWidget,
  PartBody,
  useAnswer,
  useHimalia
} from '../components';
import { himaliaIcon } from '../icons';
import type { IHimalia } from '../tokens';
import { daysLeft, Place, placeOf } from './life';
import { showProjectMenu } from './projectMenu';
import { orderProjects } from './recent';

interface IAllProjects {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** A tab with all projects, also those that are archived or deleted. */
export function makeAllProjects(props: IAllProjects): MainAreaWidget {
  const content = new KeptWidget(<AllProjects {...props} />);
  content.addClass('jp-Himalia-runDocument');
  const widget = new MainAreaWidget({ content });
  widget.title.label = props.trans.__('All Projects');
  widget.title.caption = props.trans.__('Also those that are archived or deleted');
  widget.title.icon = himaliaIcon;
  widget.title.closable = true;
  return widget;
}

function AllProjects(props: IAllProjects): React.ReactElement {
  const { commands, trans } = props;
  const himalia = useHimalia(props.himalia);
  const [place, setPlace] = React.useState<Place>('open');
  const [filter, setFilter] = React.useState('');
  // an event on any project makes another list of them, which asks for this one again
  const hidden = useAnswer<{ items: Project[] }>(
    himalia,
    place === 'open'
      ? null
      : `projects?${place === 'archived' ? 'archived' : 'trashed'}=true&limit=200`,
    trans,
    himalia.projects
  );
  const open = { value: himalia.projects && { items: himalia.projects }, problem: null };
  const places: [Place, string][] = [
    ['open', trans.__('Open')],
    ['archived', trans.__('Archived')],
    ['deleted', trans.__('Deleted')]
  ];
  return (
    <article className="jp-Himalia-run">
      <header>
        <h1>{trans.__('All projects')}</h1>
        <div className="jp-Himalia-segments" role="group" aria-label={trans.__('Which projects')}>
          {places.map(([name, label]) => (
            <button
              key={name}
              type="button"
              aria-pressed={place === name}
              onClick={() => setPlace(name)}
            >
              {label}
            </button>
          ))}
        </div>
        <span className="jp-Himalia-fill" />
        <ActionButton
          icon={addIcon}
          label={trans.__('New project…')}
          onClick={() => void commands.execute(CommandIDs.newProject)}
        />
      </header>
      <input
        type="text"
        className="jp-Himalia-filter"
        aria-label={trans.__('Filter projects')}
        placeholder={trans.__('Type to filter')}
        value={filter}
        onChange={event => setFilter(event.target.value)}
      />
      <PartBody part={place === 'open' ? open : hidden} trans={trans}>
        {({ items }) => <Table {...props} place={place} items={items} filter={filter} />}
      </PartBody>
    </article>
  );
}

function Table(
  props: IAllProjects & { place: Place; items: readonly Project[]; filter: string }
): React.ReactElement {
  const { trans, place, items, filter } = props;
  const [order, setOrder] = React.useState<IOrder>({ by: 'since', down: true });
  const shown = sorted(
    orderProjects(
      items.filter(project => placeOf(project) === place),
      [],
      filter
    ),
    order,
    place
  );
  const columns: [Column, string][] = [
    ['slug', trans.__('Project')],
    ['role', trans.__('Your role')],
    ['since', place === 'open' ? trans.__('Made') : trans.__('Since')],
    ['path', trans.__('Folder')]
  ];
  if (shown.length === 0) {
    return <EmptyState text={nothing(place, filter, trans)} />;
  }
  return (
    <table className="jp-Himalia-table jp-Himalia-projectTable">
      <thead>
        <tr>
          {columns.map(([column, label]) => (
            <Head key={column} {...{ column, label, order, setOrder }} />
          ))}
          <th scope="col">
            <span className="jp-Himalia-unseen">{trans.__('Actions')}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {shown.map(project => (
          <Row key={project.slug} {...props} project={project} />
        ))}
      </tbody>
    </table>
  );
}

/** What the table is sorted by. */
type Column = 'slug' | 'role' | 'since' | 'path';

interface IOrder {
  by: Column;
  down: boolean;
}

/** A column's head; a click sorts by it, a second one the other way round. */
function Head(props: {
  column: Column;
  label: string;
  order: IOrder;
  setOrder: (order: IOrder) => void;
}): React.ReactElement {
  const { column, label, order, setOrder } = props;
  const mine = order.by === column;
  const Caret = order.down ? caretDownIcon : caretUpIcon;
  return (
    <th scope="col" aria-sort={mine ? (order.down ? 'descending' : 'ascending') : 'none'}>
      <button
        type="button"
        className="jp-Himalia-sort"
        onClick={() => setOrder({ by: column, down: mine ? !order.down : column === 'since' })}
      >
        {label}
        {mine && <Caret.react tag="span" aria-hidden="true" />}
      </button>
    </th>
  );
}

/** Projects in an order that the user has chosen. */
export function sorted(projects: readonly Project[], order: IOrder, place: Place): Project[] {
  const value = (project: Project) =>
    order.by === 'since' ? since(project, place) : project[order.by];
  const sign = order.down ? -1 : 1;
  return [...projects].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return x === y ? 0 : sign * (x < y ? -1 : 1);
  });
}

/** When it came into its list; UTC seconds. */
function since(project: Project, place: Place): number {
  const { created_at: made, archived_at: archived, trashed_at: trashed } = project;
  return { open: made, archived: archived ?? made, deleted: trashed ?? made }[place];
}

function nothing(place: Place, filter: string, trans: TranslationBundle): string {
  if (filter.trim()) {
    return trans.__('No project matches.');
  }
  switch (place) {
    case 'archived':
      return trans.__(
        'No project is archived. Archiving stops what runs in a project and hides it.'
      );
    case 'deleted':
      return trans.__('No project waits to be removed. Deleted ones can be restored for 30 days.');
    case 'open':
      return trans.__('There is no project yet.');
  }
}

function Row(props: IAllProjects & { place: Place; project: Project }): React.ReactElement {
  const { himalia, commands, trans, place, project } = props;
  const { slug } = project;
  const execute = (command: string) => () => void commands.execute(command, { slug });
  const [now] = React.useState(() => Date.now() / 1000);
  const here = himalia.store?.slug === slug;
  return (
    <tr>
      <th scope="row">
        {place === 'open' ? (
          <button
            type="button"
            className="jp-Himalia-link"
            onClick={execute(CommandIDs.openProject)}
          >
            {slug}
          </button>
        ) : (
          slug
        )}
        {here && <span className="jp-Himalia-badge jp-mod-quiet">{trans.__('open here')}</span>}
        {project.missing && <span className="jp-Himalia-badge">{trans.__('folder is gone')}</span>}
        {project.description && <div className="jp-Himalia-muted">{project.description}</div>}
      </th>
      <td>{project.role}</td>
      <td>
        <Ago at={since(project, place)} trans={trans} />
        {place === 'deleted' && (
          <div className="jp-Himalia-muted">
            {trans._n('%1 day left', '%1 days left', daysLeft(project, now))}
          </div>
        )}
      </td>
      <td className="jp-Himalia-path" title={project.path}>
        {project.path}
      </td>
      <td className="jp-Himalia-rowEnd">
        {place === 'archived' && (
          <ActionButton
            label={trans.__('Bring back')}
            onClick={execute(CommandIDs.unarchiveProject)}
          />
        )}
        {place === 'deleted' && (
          <ActionButton label={trans.__('Restore')} onClick={execute(CommandIDs.restoreProject)} />
        )}
        <IconButton
          icon={ellipsesIcon}
          label={trans.__('Actions on %1', slug)}
          onClick={() => showProjectMenu(commands, slug, place, document.activeElement)}
        />
      </td>
    </tr>
  );
}
