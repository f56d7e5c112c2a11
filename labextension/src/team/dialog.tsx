import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Select } from '../components';
import type { Member } from '../api/types';
import { askAndAct, FormField, IFormProps } from '../frame/ask';
import { Role, roleHelp, ROLES, roleWord } from './roles';

/** What the dialog asks for. */
export interface IMemberDraft {
  user: string;
  role: Role;
}

interface IMemberQuestion {
  slug: string;
  /** The member who gets another role; null when somebody is added. */
  known: Member | null;
  members: readonly Member[];
  trans: TranslationBundle;
}

/** Ask who gets which role, and give it. */
export async function askForMember(
  question: IMemberQuestion,
  act: (draft: IMemberDraft) => Promise<void>
): Promise<boolean> {
  const { slug, known, trans } = question;
  return askAndAct<IMemberDraft>({
    title: known
      ? trans.__('The role of %1 in %2', known.user, slug)
      : trans.__('Add a member to %1', slug),
    accept: known ? trans.__('Change') : trans.__('Add'),
    initial: { user: known?.user ?? '', role: known?.role ?? 'contributor' },
    trans,
    form: props => <MemberForm {...props} {...question} />,
    act: ({ user, role }) => {
      const name = user.trim();
      if (!name) {
        throw new Error(trans.__('Name the person.'));
      }
      return act({ user: name, role });
    }
  });
}

function MemberForm(props: IFormProps<IMemberDraft> & IMemberQuestion): React.ReactElement {
  const { value, change, faulty, known, members, trans } = props;
  const before = members.find(({ user }) => user === value.user.trim());
  return (
    <>
      {known === null && (
        <FormField
          label={trans.__('Person')}
          hint={
            before
              ? trans.__(
                  '%1 is a member already, as %2, and gets the role below.',
                  before.user,
                  roleWord(before.role, trans)
                )
              : trans.__('The name with which they sign in to JupyterLab.')
          }
          faulty={faulty === 'user'}
        >
          {(id, described) => (
            <input
              id={id}
              aria-describedby={described}
              className="jp-mod-styled"
              type="text"
              spellCheck={false}
              autoComplete="off"
              value={value.user}
              onChange={event => change({ user: event.target.value })}
            />
          )}
        </FormField>
      )}
      <FormField
        label={trans.__('Role')}
        hint={roleHelp(value.role, trans)}
        faulty={faulty === 'role'}
      >
        {(id, described) => (
          <Select
            id={id}
            aria-describedby={described}
            value={value.role}
            onChange={event => change({ role: event.target.value as Role })}
          >
            {ROLES.map(role => (
              <option key={role} value={role}>
                {roleWord(role, trans)}
              </option>
            ))}
          </Select>
        )}
      </FormField>
    </>
  );
}
