import { icon } from './icons';

/** A lens with a plus. */
export const nearerIcon = icon(
  'nearer',
  'M15.5 14h-.79l-.28-.27A6.5 6.5 0 1 0 13 14.7l.27.28v.79l5 4.99L19.49 19l-4.99-5zm-6 0A4.5 4.5 0 1 1 14 9.5 4.5 4.5 0 0 1 9.5 14zm.5-7H9v2H7v1h2v2h1v-2h2V9h-2V7z'
);

/** A lens with a minus. */
export const fartherIcon = icon(
  'farther',
  'M15.5 14h-.79l-.28-.27A6.5 6.5 0 1 0 13 14.7l.27.28v.79l5 4.99L19.49 19l-4.99-5zm-6 0A4.5 4.5 0 1 1 14 9.5 4.5 4.5 0 0 1 9.5 14zM7 9h5v1H7V9z'
);

/** Four corners: all of it. */
export const fitIcon = icon(
  'fit',
  'M7 14H5v5h5v-2H7v-3zm-2-4h2V7h3V5H5v5zm12 7h-3v2h5v-5h-2v3zM14 5v2h3v3h2V5h-5z'
);
