import { caretDownEmptyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

/** A select with an arrow: JupyterLab's look of one takes the browser's away. */
export function Select(props: React.SelectHTMLAttributes<HTMLSelectElement>): React.ReactElement {
  return (
    <span className="jp-Himalia-select">
      <select className="jp-mod-styled" {...props} />
      <caretDownEmptyIcon.react tag="span" aria-hidden="true" />
    </span>
  );
}
