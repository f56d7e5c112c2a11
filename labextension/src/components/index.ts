export { ActionButton, IActionButtonProps, IconButton } from './ActionButton';
export { Ago } from './Ago';
export { Elapsed } from './Elapsed';
export { EmptyState } from './EmptyState';
export {
  formatAgo,
  formatBytes,
  formatDuration,
  formatExact,
  shortId
} from './format';
export { useHimalia, useSignal, useStore } from './hooks';
export { notifyProblem } from './notify';
export { ProblemMessage } from './ProblemMessage';
export { IStateDotProps, StateDot } from './StateDot';
export { hasEnded, stateWord } from './states';
export { SubmitDialog } from './SubmitDialog';
