import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Run } from '../api/types';
import { CommandIDs } from '../commands';
import { shortId } from '../components';

/** The way from a run to the sweep that it is a point of; nothing for other runs. */
export function SweepLink(props: {
  run: Run;
  commands: CommandRegistry;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { run, commands, trans } = props;
  const { sweep, project: slug } = run;
  if (!sweep) {
    return null;
  }
  return (
    <button
      type="button"
      className="jp-Himalia-runLink"
      title={trans.__('Open the sweep %1, which has made this run', shortId(sweep))}
      onClick={() => void commands.execute(CommandIDs.openSweep, { sweep, slug })}
    >
      {trans.__('sweep %1', shortId(sweep))}
    </button>
  );
}
