import { TranslationBundle } from '@jupyterlab/translation';

/** The shape that stands for a state, besides its word and colour. */
export type Shape =
  'check' | 'cross' | 'spinner' | 'ring' | 'dash' | 'warning' | 'hand' | 'dot' | 'skip';

/** The shape of a state word of the service. */
export function stateShape(state: string, steady = false): Shape {
  switch (state) {
    case 'succeeded':
    case 'ready':
    case 'live':
    case 'up_to_date':
    case 'verified':
      return 'check';
    case 'skipped':
      return 'skip';
    case 'running':
      return steady ? 'check' : 'spinner';
    case 'starting':
    case 'closing':
    case 'cancelling':
    case 'connecting':
      return 'spinner';
    case 'failed':
    case 'timed_out':
    case 'kernel_died':
    case 'differs':
      return 'cross';
    case 'lost':
    case 'invalid':
    case 'stale':
    case 'newer':
    case 'refused':
      return 'warning';
    case 'requested':
    case 'waiting':
    case 'waits':
    case 'queued':
      return 'hand';
    case 'changed':
      return 'dot';
    case 'cancelled':
    case 'upstream_failed':
    case 'not_run':
    case 'paused':
    case 'stopped':
      return 'dash';
    default:
      return 'ring';
  }
}

/** A state word of the service in the user's language. */
export function stateWord(state: string, trans: TranslationBundle): string {
  switch (state) {
    case 'succeeded':
      return trans.__('succeeded');
    case 'ready':
      return trans.__('ready');
    case 'running':
      return trans.__('running');
    case 'starting':
      return trans.__('starting');
    case 'closing':
      return trans.__('stopping');
    case 'cancelling':
      return trans.__('being cancelled');
    case 'failed':
      return trans.__('failed');
    case 'timed_out':
      return trans.__('timed out');
    case 'kernel_died':
      return trans.__('kernel died');
    case 'lost':
      return trans.__('lost');
    case 'cancelled':
      return trans.__('cancelled');
    case 'upstream_failed':
    case 'not_run':
      return trans.__('not run');
    case 'skipped':
      return trans.__('skipped');
    case 'up_to_date':
      return trans.__('unchanged');
    case 'changed':
      return trans.__('changed');
    case 'new':
      return trans.__('new');
    case 'waits':
      return trans.__('waits');
    case 'invalid':
      return trans.__('cannot run');
    case 'pending':
      return trans.__('pending');
    case 'waiting':
      return trans.__('waiting');
    case 'requested':
      return trans.__('waits for a decision');
    case 'stopped':
      return trans.__('stopped');
    case 'connecting':
      return trans.__('connecting');
    default:
      return state.replace(/_/g, ' ');
  }
}

/** Whether a run or stage has ended, for good or bad. */
export function hasEnded(status: string): boolean {
  return [
    'succeeded',
    'failed',
    'timed_out',
    'kernel_died',
    'cancelled',
    'upstream_failed',
    'skipped',
    'not_run',
    'lost'
  ].includes(status);
}
