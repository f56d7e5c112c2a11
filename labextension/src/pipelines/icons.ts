import { LabIcon } from '@jupyterlab/ui-components';

/** An icon of JupyterLab's look, from a path in a square of 24. */
export function icon(name: string, path: string): LabIcon {
  const svgstr =
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">' +
    `<path class="jp-icon3 jp-icon-selectable" fill="#616161" d="${path}"/></svg>`;
  return new LabIcon({ name: `himalia:${name}`, svgstr });
}

/** Two arrows on: a stage, and what comes after it. */
export const fromHereIcon = icon('from-here', 'M4 18l8.5-6L4 6v12zm9-12v12l8.5-6L13 6z');

/** A tree that lies: stages and their edges. */
export const pipelineIcon = icon(
  'pipeline',
  'M22 11V3h-7v3H9V3H2v8h7V8h2v10h4v3h7v-8h-7v3h-2V8h2v3h7zM7 9H4V5h3v4zm10 6h3v4h-3v-4zm0-10h3v4h-3V5z'
);

/** A grid of points: a run for each combination of values. */
export const sweepIcon = icon(
  'sweep',
  'M4 4h4v4H4V4zm6 0h4v4h-4V4zm6 0h4v4h-4V4zM4 10h4v4H4v-4zm6 0h4v4h-4v-4zm6 0h4v4h-4v-4zM4 16h4v4H4v-4zm6 0h4v4h-4v-4zm6 0h4v4h-4v-4z'
);
