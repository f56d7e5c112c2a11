import { TranslationBundle } from '@jupyterlab/translation';
import { closeIcon, editIcon, userIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import type { Member } from '../api/types';
import { CommandIDs } from '../commands';
import { IconButton, PartBody } from '../components';
import type { IHimalia, IProjectStore } from '../tokens';
import { IMemberList, isLastOwner, MEMBERS } from './question';
import { roleHelp, roleWord } from './roles';

interface ISectionProps {
  himalia: IHimalia;
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** Who belongs to the project, and as what. */
export default function TeamSection(props: ISectionProps): React.ReactElement {
  const { store, trans } = props;
  return (
    <PartBody part={store.part<IMemberList>(MEMBERS)} trans={trans}>
      {({ items, next }) => (
        <>
          <ul className="jp-Himalia-items" role="list" aria-label={trans.__('Members')}>
            {items.map(member => (
              <MemberRow key={member.user} member={member} members={items} {...props} />
            ))}
          </ul>
          {next !== null && (
            <p className="jp-Himalia-muted">{trans.__('There are more; these are the first.')}</p>
          )}
          <p className="jp-Himalia-muted jp-Himalia-sectionNote">
            {trans.__(
              'Roles guard against slips. They do not keep people apart who share one account of this machine.'
            )}
          </p>
        </>
      )}
    </PartBody>
  );
}

function MemberRow(
  props: ISectionProps & { member: Member; members: readonly Member[] }
): React.ReactElement {
  const { member, members, himalia, store, commands, trans } = props;
  const { user, role } = member;
  const refused =
    refusedBy(store.project.role, 'member.write', trans) ??
    (isLastOwner(members, user)
      ? trans.__('%1 is the last owner. Make somebody else an owner first.', user)
      : undefined);
  return (
    <li className="jp-Himalia-item">
      <div className="jp-Himalia-itemHead">
        <userIcon.react tag="span" className="jp-Himalia-itemIcon" aria-hidden="true" />
        <span className="jp-Himalia-itemName" title={user}>
          {user === himalia.user ? trans.__('%1 (you)', user) : user}
        </span>
        <span className="jp-Himalia-muted" title={roleHelp(role, trans)}>
          {roleWord(role, trans)}
        </span>
        <span className="jp-Himalia-itemActions">
          <IconButton
            label={trans.__('Change the role of %1', user)}
            icon={editIcon}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.setMember, { user })}
          />
          <IconButton
            label={trans.__('Remove %1', user)}
            icon={closeIcon}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.removeMember, { user })}
          />
        </span>
      </div>
    </li>
  );
}
