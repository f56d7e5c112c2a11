import { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';

import { CommandIDs } from '../commands';
import type { Place } from './life';

/** What can be done with a project, in groups. */
const GROUPS: Record<Place, string[][]> = {
  open: [
    [CommandIDs.openProject, CommandIDs.openProjectTab],
    [CommandIDs.cloneProject, CommandIDs.exportProject, CommandIDs.moveProject],
    [CommandIDs.archiveProject, CommandIDs.deleteProject]
  ],
  archived: [[CommandIDs.unarchiveProject, CommandIDs.exportProject], [CommandIDs.deleteProject]],
  deleted: [[CommandIDs.restoreProject], [CommandIDs.purgeProject]]
};

/** Show what can be done with a project, below the button that was pressed. */
export function showProjectMenu(
  commands: CommandRegistry,
  slug: string,
  place: Place,
  button: Element | null
): void {
  const menu = new Menu({ commands });
  const args = { slug };
  const groups = GROUPS[place];
  groups.forEach((group, number) => {
    if (number > 0) {
      menu.addItem({ type: 'separator' });
    }
    group.forEach(command => menu.addItem({ command, args }));
  });
  const { left, bottom } = button?.getBoundingClientRect() ?? { left: 0, bottom: 0 };
  menu.aboutToClose.connect(() => {
    // its command runs after it has closed
    window.setTimeout(() => {
      menu.dispose();
      if (button instanceof HTMLElement && document.activeElement === document.body) {
        button.focus();
      }
    }, 0);
  });
  menu.open(left, bottom);
}
