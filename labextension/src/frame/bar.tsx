import { TranslationBundle } from '@jupyterlab/translation';
import { ToolbarButton, launchIcon, refreshIcon } from '@jupyterlab/ui-components';

import { FrameContent } from './content';

/** The buttons that every frame has: load anew, and show the page outside of JupyterLab. */
export function frameButtons(
  content: FrameContent,
  trans: TranslationBundle
): [string, ToolbarButton][] {
  return [
    [
      'reload',
      new ToolbarButton({
        icon: refreshIcon,
        tooltip: trans.__('Load the page anew'),
        onClick: () => content.reload()
      })
    ],
    [
      'launch',
      new ToolbarButton({
        icon: launchIcon,
        tooltip: trans.__('Open the page in a tab of the browser'),
        onClick: () => content.launch()
      })
    ]
  ];
}
