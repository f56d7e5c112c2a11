import * as React from 'react';

import { at } from '../api/request';
import { toProblem } from '../api/problem';
import type { Notice, NoticeList } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Ago,
  EmptyState,
  IconButton,
  PartBody,
  ProblemMessage,
  StateDot
} from '../components';
import type { IProblem, IProjectStore } from '../tokens';
import { INoticeParts, openNotice } from './follow';
import { readIcon } from './icons';
import { noticesOf } from './question';
import { openLabel, titleOf } from './words';

type ISectionProps = INoticeParts & { store: IProjectStore };

/** Notices that are shown before one asks for more. */
const SHOWN = 5;

/** Failures and recoveries of schedules, newest first. */
export default function NoticesSection(props: ISectionProps): React.ReactElement {
  const { store, trans } = props;
  return (
    <PartBody part={noticesOf(store)} trans={trans}>
      {list =>
        list.items.length === 0 ? (
          <EmptyState
            text={trans.__(
              'Nothing to tell. When a schedule fails for the first time, or works again, it is listed here.'
            )}
          />
        ) : (
          <List key={store.slug} {...props} list={list} />
        )
      }
    </PartBody>
  );
}

function List(props: ISectionProps & { list: NoticeList }): React.ReactElement {
  const { himalia, store, list, trans } = props;
  const [all, setAll] = React.useState(false);
  const [older, setOlder] = React.useState<{ items: Notice[]; next: string | null } | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const oldest = list.items[list.items.length - 1].id;
  const known = [...list.items, ...(older?.items ?? []).filter(({ id }) => id < oldest)];
  const items = all ? known : known.slice(0, SHOWN);
  const next = older ? older.next : list.next;
  const more = async () => {
    try {
      const path = `${at('projects', store.slug, 'notices')}?limit=50&cursor=${next ?? ''}`;
      const page = await himalia.request<NoticeList>('GET', path);
      setOlder({ items: [...(older?.items ?? []), ...page.items], next: page.next });
      setProblem(null);
    } catch (error) {
      setProblem(toProblem(error, trans));
    }
  };
  const rest = known.length - SHOWN;
  return (
    <>
      <ul className="jp-Himalia-items" role="list">
        {items.map(notice => (
          <Row key={notice.id} {...props} notice={notice} />
        ))}
      </ul>
      {problem && <ProblemMessage problem={problem} trans={trans} />}
      <div className="jp-Himalia-more">
        {rest > 0 && (
          <ActionButton
            label={all ? trans.__('Show fewer') : trans._n('Show %1 more', 'Show %1 more', rest)}
            onClick={() => setAll(!all)}
          />
        )}
        {next !== null && (all || rest <= 0) && (
          <ActionButton label={trans.__('Older notices')} onClick={() => void more()} />
        )}
      </div>
    </>
  );
}

function Row(props: ISectionProps & { notice: Notice }): React.ReactElement {
  const { notice, commands, trans } = props;
  const { id, kind, read, created_at: time, error } = notice;
  return (
    <li
      className={`jp-Himalia-item jp-Himalia-notice${read ? '' : ' jp-mod-unread'}`}
      data-notice={id}
    >
      <div className="jp-Himalia-itemHead">
        <StateDot
          compact
          state={kind === 'failure' ? 'failed' : 'succeeded'}
          label={kind === 'failure' ? trans.__('failure') : trans.__('recovery')}
          trans={trans}
        />
        <button
          type="button"
          className="jp-Himalia-itemName"
          title={openLabel(notice, trans)}
          onClick={() => void openNotice(props, notice)}
        >
          {titleOf(notice)}
        </button>
        <span className="jp-Himalia-itemActions">
          {!read && (
            <IconButton
              icon={readIcon}
              label={trans.__('Mark as read')}
              onClick={() => void commands.execute(CommandIDs.readNotices, { notice: id })}
            />
          )}
        </span>
      </div>
      <div className="jp-Himalia-itemFacts">
        {!read && <strong>{trans.__('new')} · </strong>}
        <Ago at={time} trans={trans} />
      </div>
      {kind === 'failure' && error && <div className="jp-Himalia-itemError">{error}</div>}
    </li>
  );
}
