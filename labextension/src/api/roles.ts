import { TranslationBundle } from '@jupyterlab/translation';

import { IHimalia } from '../tokens';

/** Roles from the weakest to the strongest. */
const RANK = ['viewer', 'contributor', 'operator', 'approver', 'owner'];

/**
 * The weakest role that may do what not everybody may: the service's table (team/roles.py), which a test compares.
 * The service decides, this only tells beforehand.
 */
const WEAKEST = {
  'project.edit': 'contributor',
  'project.export': 'contributor',
  'project.archive': 'owner',
  'project.move': 'owner',
  'project.delete': 'owner',
  'member.write': 'owner',
  'secret.list': 'contributor',
  'secret.write': 'owner',
  'component.publish': 'contributor',
  'component.use': 'contributor',
  'environment.build': 'contributor',
  'kernel.start': 'contributor',
  'cluster.connect': 'contributor',
  'cluster.write': 'contributor',
  'run.start': 'contributor',
  'run.cancel': 'contributor',
  'run.progress': 'contributor',
  'verify.start': 'contributor',
  'schedule.write': 'contributor',
  'schedule.operate': 'contributor',
  'notifier.list': 'contributor',
  'notifier.write': 'operator',
  'model.alias': 'operator',
  'deployment.request': 'contributor',
  'deployment.predict': 'contributor',
  'deployment.write': 'operator',
  'deployment.token': 'operator',
  'tracking.write': 'contributor',
  'tracking.registry': 'operator',
  'tracking.delete': 'owner'
} as const;

/** Something that not every member of a project may do. */
export type Action = keyof typeof WEAKEST;

/** Whether a role allows an action. */
export function may(role: string, action: Action): boolean {
  return RANK.indexOf(role) >= RANK.indexOf(WEAKEST[action]);
}

/** Why a role may not do it, for the tooltip of a disabled button; undefined when it may. */
export function refusedBy(
  role: string,
  action: Action,
  trans: TranslationBundle
): string | undefined {
  if (may(role, action)) {
    return undefined;
  }
  return trans.__(
    'You are %1 in this project; this needs at least %2. Ask an owner of the project.',
    role,
    WEAKEST[action]
  );
}

/** Why something cannot be done in the open project now, for tooltips and messages; null when it can be tried. */
export function whyNot(
  himalia: Pick<IHimalia, 'connection' | 'store'>,
  action: Action,
  trans: TranslationBundle
): string | null {
  if (!himalia.store) {
    return trans.__('Open a project first.');
  }
  if (himalia.connection === 'stopped') {
    return trans.__('Himalia’s service does not run. Start it first.');
  }
  return refusedBy(himalia.store.project.role, action, trans) ?? null;
}
