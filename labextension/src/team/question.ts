import type { Member } from '../api/types';
import type { IQuestion } from '../tokens';

/** Who belongs to the project, and as what. */
export const MEMBERS: IQuestion = { path: 'members', topics: ['project.members'] };

/** The answer to it. */
export interface IMemberList {
  items: Member[];
  /** Null when these are all. */
  next: string | null;
}

/** Whether nobody else owns the project: such a member stays, as what they are. */
export function isLastOwner(members: readonly Member[], user: string): boolean {
  const owners = members.filter(({ role }) => role === 'owner');
  return owners.length === 1 && owners[0].user === user;
}
