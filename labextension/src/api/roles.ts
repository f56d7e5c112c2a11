import { TranslationBundle } from '@jupyterlab/translation';

import { IHimalia } from '../tokens';

/** Roles from the weakest to the strongest. */
const RANK = ['viewer', 'contributor', 'operator', 'approver', 'owner'];

/** The weakest role that may do it; the service decides, this only tells beforehand. */
const WEAKEST = {
  'project.delete': 'owner',
  'kernel.start': 'contributor',
  'cluster.write': 'contributor',
  'run.start': 'contributor',
  'run.cancel': 'contributor',
  'schedule.write': 'contributor',
  'schedule.operate': 'contributor',
  'verify.start': 'contributor',
  'model.alias': 'operator',
  'deployment.request': 'contributor',
  'deployment.predict': 'contributor',
  'deployment.write': 'operator',
  'deployment.token': 'operator',
  'project.export': 'contributor',
  'project.move': 'owner',
  'project.archive': 'owner',
  'project.edit': 'contributor',
  'environment.build': 'contributor',
  'member.write': 'owner',
  'secret.list': 'contributor',
  'secret.write': 'owner',
  'component.publish': 'contributor',
  'component.use': 'contributor'
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
