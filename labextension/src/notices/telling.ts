import { Notification } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';

import type { Notice } from '../api/types';
import { CommandIDs } from '../commands';
import { INoticeParts, openNotice } from './follow';
import { openLabel, titleOf } from './words';

/** Notices that are told one by one; more of them at once in one sentence. */
const ONE_BY_ONE = 3;

/** Notifications of this page, by the notice. */
const shown = new Map<string, string>();

/** Tell of those that are new to the person and to this browser; take back what was read elsewhere. */
export async function tell(parts: INoticeParts, notices: readonly Notice[]): Promise<void> {
  for (const { id, read } of notices) {
    const notification = shown.get(id);
    if (read && notification !== undefined) {
      shown.delete(id);
      Notification.dismiss(notification);
    }
  }
  const fresh = (await takeFresh(parts.himalia.user ?? '', notices)).reverse();
  if (fresh.length > ONE_BY_ONE) {
    tellTogether(parts, fresh);
  } else {
    fresh.forEach(notice => tellOne(parts, notice));
  }
}

function tellOne(parts: INoticeParts, notice: Notice): void {
  const { trans } = parts;
  const failed = notice.kind === 'failure';
  const message = [titleOf(notice), failed ? notice.error : null].filter(Boolean).join(' ');
  const emit = failed ? Notification.error : Notification.success;
  const id = emit(message, {
    autoClose: false,
    actions: [
      {
        label: openLabel(notice, trans),
        displayType: 'accent',
        callback: () => void openNotice(parts, notice)
      }
    ]
  });
  shown.set(notice.id, id);
}

function tellTogether({ commands, trans }: INoticeParts, notices: readonly Notice[]): void {
  const failed = notices.filter(({ kind }) => kind === 'failure').length;
  const id = Notification.warning(
    trans.__(
      '%1 new notices of schedules of %2, of them %3 of failures.',
      notices.length,
      notices[0].project,
      failed
    ),
    {
      autoClose: false,
      actions: [
        {
          label: trans.__('Show them'),
          displayType: 'accent',
          callback: () => void commands.execute(CommandIDs.showNotices)
        }
      ]
    }
  );
  shown.set(notices[notices.length - 1].id, id);
}

/** Unread notices that this browser has not told the person, newest first; from now on it has. */
async function takeFresh(user: string, notices: readonly Notice[]): Promise<Notice[]> {
  const take = () => {
    const told = readTold(user);
    const fresh = notices.filter(({ id, read, project }) => !read && id > (told[project] ?? ''));
    for (const { id, project } of fresh) {
      told[project] = id > (told[project] ?? '') ? id : told[project];
    }
    if (fresh.length > 0) {
      keepTold(user, told);
    }
    return Promise.resolve(fresh);
  };
  // two pages hear of it at the same time; where a browser has no locks (plain http), both may tell
  const locks = navigator.locks as LockManager | undefined;
  return locks ? locks.request('himalia:notices', take) : take();
}

type Told = Record<string, string>;

// by the browser, not by JupyterLab's state database: that has a state for each workspace
const key = (user: string) => `himalia:notices:${PageConfig.getOption('baseUrl')}:${user}`;
/** What storage would keep, for a page that may not use it. */
const remembered = new Map<string, Told>();

function readTold(user: string): Told {
  const mine = { ...remembered.get(user) };
  try {
    const text = window.localStorage.getItem(key(user));
    return text === null ? mine : (JSON.parse(text) as Told);
  } catch {
    return mine; // storage may be forbidden: then once a page
  }
}

function keepTold(user: string, told: Told): void {
  remembered.set(user, told);
  try {
    window.localStorage.setItem(key(user), JSON.stringify(told));
  } catch {
    return; // see above
  }
}
