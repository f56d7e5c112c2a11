import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { at } from '../api/request';
import type { Notice, Run } from '../api/types';
import { CommandIDs } from '../commands';
import { shortId } from '../components/format';
import { notifyProblem, tell } from '../components/notify';
import { canOpen } from '../pipelines/rows';
import { askedFor, linkIn, withoutLink } from '../service/place';
import type { IHimalia } from '../tokens';
import { noticesOf } from './question';

/** What the room stands on. */
export interface INoticeParts {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** What a link names. */
export type Target =
  | { slug: string; run: string; stage: string | null; cell: number | null }
  | { slug: string; schedule: string };

/** A link as the service writes it (`…lab?himalia-run=PROJECT/RUN/STAGE/CELL`), or its question alone. */
export function readLink(link: string): Target | null {
  const asked = new URLSearchParams(linkIn(link.slice(link.indexOf('?') + 1)));
  const parts = (asked.get('himalia-run') ?? '').split('/');
  const [slug, run, stage, place] = parts;
  if (slug && run && parts.length <= 4) {
    const cell = /^\d{1,6}$/.test(place ?? '') ? Number(place) : null;
    return { slug, run, stage: stage || null, cell };
  }
  const [project, schedule, ...more] = (asked.get('himalia-schedule') ?? '').split('/');
  return project && schedule && more.length === 0 ? { slug: project, schedule } : null;
}

/** Show what the page's address names, in the workspace of its project; taken out of the address then. */
export async function followAddress(parts: INoticeParts, link: string): Promise<void> {
  const { himalia, commands, trans } = parts;
  const target = readLink(link);
  const asked = askedFor(window.location.search);
  if (target) {
    // the project that the address asks for is on its way to this page already
    await until(himalia, () =>
      himalia.projects?.some(({ slug }) => slug === asked && slug === target.slug)
        ? himalia.store !== null
        : himalia.projects !== null
    );
  }
  window.history.replaceState(window.history.state, '', withoutLink(window.location.href));
  if (!target) {
    Notification.warning(trans.__('The link is not complete: %1', link), { autoClose: false });
    await showOverview(parts);
    return;
  }
  const { slug } = target;
  if (!himalia.projects?.some(project => project.slug === slug)) {
    Notification.warning(
      trans.__(
        'There is no project %1 that you may see: it may have been archived or deleted, or you are not its member.',
        slug
      ),
      {
        autoClose: false,
        actions: [
          {
            label: trans.__('All projects'),
            callback: () => void commands.execute(CommandIDs.allProjects)
          }
        ]
      }
    );
    await showOverview(parts);
    return;
  }
  if (himalia.store?.slug !== slug) {
    await himalia.open(slug, undefined, link);
  }
  if (himalia.store?.slug === slug && !(await follow(parts, target))) {
    await showOverview(parts);
  }
}

/** The page kept its main area free for what the link names. */
async function showOverview({ himalia, commands }: INoticeParts): Promise<void> {
  if (himalia.store && commands.hasCommand(CommandIDs.openOverview)) {
    await commands.execute(CommandIDs.openOverview);
  }
}

/** Show a schedule, a run, or the executed notebook of a stage at a cell; false when there is none to show. */
export async function follow(parts: INoticeParts, target: Target): Promise<boolean> {
  const { himalia, commands, trans } = parts;
  const { slug } = target;
  if ('schedule' in target) {
    await commands.execute(CommandIDs.openSchedule, { slug, name: target.schedule });
    return true;
  }
  const { run: id, stage, cell } = target;
  let run: Run;
  try {
    run = await himalia.request<Run>('GET', at('projects', slug, 'runs', id));
  } catch (error) {
    notifyProblem(trans.__('The run %1 of %2 cannot be shown.', shortId(id), slug), error, trans);
    return false;
  }
  const record = run.stages.find(({ name }) => name === stage);
  if (record && canOpen(record)) {
    const args = { slug, run: id, stage, ...(cell === null ? {} : { cell }) };
    await commands.execute(CommandIDs.openExecutedNotebook, args);
    return true;
  }
  await commands.execute(CommandIDs.openRun, { slug, run: id });
  if (stage !== null) {
    tell(
      'info',
      record
        ? trans.__('No notebook was kept of the stage %1; the run tells why.', stage)
        : trans.__('The run %1 has no stage %2.', shortId(id), stage)
    );
  }
  return true;
}

/** Show what a notice is about, which marks it as read. */
export async function openNotice(parts: INoticeParts, notice: Notice): Promise<void> {
  const target = readLink(notice.link ?? '');
  if (target) {
    await follow(parts, target);
  }
  if (!notice.read) {
    await markRead(parts, notice.id);
  }
}

/** Mark a notice as read; all of them without one. */
export async function markRead(parts: INoticeParts, notice: string | null): Promise<void> {
  const { himalia, trans } = parts;
  const { store } = himalia;
  const until = notice ?? (store && noticesOf(store).value?.items[0]?.id);
  if (!store || !until) {
    return;
  }
  try {
    const path = at('projects', store.slug, 'notices', 'read');
    await himalia.request('POST', path, { until, only: notice !== null });
  } catch (error) {
    notifyProblem(trans.__('The notices were not marked as read.'), error, trans);
  }
}

/** Settled once *holds* does, while the page follows the service's events. */
function until(himalia: IHimalia, holds: () => boolean): Promise<void> {
  return new Promise(resolve => {
    const look = () => {
      if (himalia.connection === 'live' && holds()) {
        himalia.changed.disconnect(look);
        resolve();
      }
    };
    himalia.changed.connect(look);
    look();
  });
}
