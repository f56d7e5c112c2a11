import { LabIcon } from '@jupyterlab/ui-components';

function icon(name: string, path: string): LabIcon {
  const svgstr =
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">' +
    `<path class="jp-icon3 jp-icon-selectable" fill="#616161" d="${path}"/></svg>`;
  return new LabIcon({ name: `himalia:${name}`, svgstr });
}

/** Bars: a dashboard. */
export const dashboardIcon = icon(
  'dashboard',
  'M5 9.2h3V19H5V9.2zM10.6 5h2.8v14h-2.8V5zm5.6 8H19v6h-2.8v-6z'
);

/** Sliders: change the size. */
export const scaleIcon = icon(
  'scale',
  'M3 17v2h6v-2H3zM3 5v2h10V5H3zm10 16v-2h8v-2h-8v-2h-2v6h2zM7 9v2H3v2h4v2h2V9H7zm14 4v-2H11v2h10zm-6-4h2V7h4V5h-4V3h-2v6z'
);

/** A star: the champion. */
export const championIcon = icon(
  'champion',
  'M12 17.27L18.18 21l-1.64-7.03L22 9.24l-7.19-.61L12 2 9.19 8.63 2 9.24l5.46 4.73L5.82 21z'
);

/** An arrow up to a line: bring a model to an endpoint. */
export const deployIcon = icon('deploy', 'M5 4v2h14V4H5zm0 10h4v6h6v-6h4l-7-7-7 7z');

/** A curve: experiments. */
export const trackingIcon = icon(
  'tracking',
  'M3.5 18.49l6-6.01 4 4L22 6.92l-1.41-1.41-7.09 7.97-4-4L2 16.99z'
);

/** A paper plane: send a request. */
export const endpointIcon = icon('endpoint', 'M2.01 21L23 12 2.01 3 2 10l15 2-15 2z');

/** A key: a secret. */
export const keyIcon = icon(
  'key',
  'M12.65 10A5.99 5.99 0 0 0 7 6c-3.31 0-6 2.69-6 6s2.69 6 6 6a5.99 5.99 0 0 0 5.65-4H17v4h4v-4h2v-4H12.65zM7 14c-1.1 0-2-.9-2-2s.9-2 2-2 2 .9 2 2-.9 2-2 2z'
);

/** A box: packages, an environment. */
export const packageIcon = icon(
  'package',
  'M20 2H4c-1.1 0-2 .9-2 2v3.01c0 .72.43 1.34 1 1.69V20c0 1.1 1.1 2 2 2h14c.9 0 2-.9 2-2V8.7c.57-.35 1-.97 1-1.69V4c0-1.1-.9-2-2-2zm-5 12H9v-2h6v2zm5-7H4V4h16v3z'
);
