import type { NoticeList } from '../api/types';
import type { IPart, IProjectStore, IQuestion } from '../tokens';

/** Failures and recoveries of the project's schedules, newest first. */
const NOTICES: IQuestion = { path: 'notices?limit=50', topics: ['notice.'] };

/** The newest notices, as far as they are known. */
export function noticesOf(store: IProjectStore): IPart<NoticeList> {
  return store.part<NoticeList>(NOTICES);
}
