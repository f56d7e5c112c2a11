import { icon } from '../pipelines/icons';

/** Two bars. */
export const pauseIcon = icon('pause', 'M6 19h4V5H6v14zm8-14v14h4V5h-4z');

/** A bar and a triangle: go on. */
export const resumeIcon = icon('resume', 'M5 5h3v14H5V5zm5 0v14l10-7L10 5z');
