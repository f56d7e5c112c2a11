import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { CHAMPION } from './versions';

/** A version's aliases as chips; the champion's has a mark besides its colour. */
export function Aliases(props: {
  aliases: readonly string[];
  trans: TranslationBundle;
}): React.ReactElement {
  const sorted = [...props.aliases].sort((a, b) => Number(b === CHAMPION) - Number(a === CHAMPION));
  return (
    <>
      {sorted.map(alias => (
        <span
          key={alias}
          className={`jp-Himalia-chip${alias === CHAMPION ? ' jp-mod-champion' : ''}`}
          title={props.trans.__('Alias %1', alias)}
        >
          {alias === CHAMPION ? `★ ${alias}` : alias}
        </span>
      ))}
    </>
  );
}
