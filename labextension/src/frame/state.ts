import { TranslationBundle } from '@jupyterlab/translation';

import { IHimalia, IProblem, IProjectStore } from '../tokens';

/** What stands in a frame's place. */
export interface INotice {
  text: string;
  /** Something happens by itself, and the page comes after it. */
  busy?: boolean;
  problem?: IProblem;
  action?: { label: string; onClick: () => void; disabledReason?: string };
}

/**
 * - `page`: show the page
 * - `wait`: the page is there, but does not answer now; it keeps its place
 * - `gone`: there is no such page (any more)
 */
export type FrameState =
  | { kind: 'page'; url: string }
  | { kind: 'wait'; notice: INotice }
  | { kind: 'gone'; notice: INotice };

/** The part of IHimalia that decides whether a project's pages can be shown. */
export type FrameHost = Pick<IHimalia, 'connection' | 'problem' | 'store' | 'deleted'>;

/**
 * Why no page of a project can be shown now; null when the store can be asked.
 *
 * @param slug - the project that the page belongs to
 */
export function hindrance(
  himalia: FrameHost,
  slug: string,
  acts: { start: () => void; open: (slug: string) => void },
  trans: TranslationBundle
): FrameState | null {
  switch (himalia.connection) {
    case 'stopped':
      return {
        kind: 'wait',
        notice: {
          text: trans.__('Himalia’s service does not run.'),
          action: { label: trans.__('Start the service'), onClick: acts.start }
        }
      };
    case 'starting':
      return { kind: 'wait', notice: { text: trans.__('Himalia’s service starts…'), busy: true } };
    case 'newer':
    case 'refused':
      return {
        kind: 'wait',
        notice: {
          text: trans.__('Himalia cannot be used here now.'),
          problem: himalia.problem ?? undefined
        }
      };
  }
  const store: IProjectStore | null = himalia.store;
  if (himalia.deleted === slug) {
    return {
      kind: 'gone',
      notice: { text: trans.__('The project %1 has been archived or deleted.', slug) }
    };
  }
  if (store?.slug === slug) {
    return null;
  }
  if (store) {
    return {
      kind: 'gone',
      notice: {
        text: trans.__('This belongs to the project %1.', slug),
        action: { label: trans.__('Open %1', slug), onClick: () => acts.open(slug) }
      }
    };
  }
  const lost = himalia.connection === 'lost';
  return {
    kind: 'wait',
    notice: {
      text: lost
        ? trans.__('The Jupyter server does not answer. Trying again…')
        : trans.__('Connecting…'),
      busy: true
    }
  };
}
