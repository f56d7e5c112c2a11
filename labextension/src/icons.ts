import { LabIcon } from '@jupyterlab/ui-components';

import himaliaSvg from '../style/icons/himalia.svg';

/** A mountain with two peaks; its colour follows the theme. */
export const himaliaIcon = new LabIcon({ name: 'himalia:mountain', svgstr: himaliaSvg });
