import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import { caretDownIcon, caretRightIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Boundary, IconButton } from '../components';
import type { IProjectStore, ISection } from '../tokens';

interface ISectionProps {
  section: ISection;
  store: IProjectStore;
  folded: boolean;
  commands: CommandRegistry;
  trans: TranslationBundle;
  onFold: (folded: boolean) => void;
}

/** A section of the sidebar: a head that folds it, buttons, the room's body. */
export function SectionView(props: ISectionProps): React.ReactElement {
  const { section, store, folded, commands, trans, onFold } = props;
  const badge = section.badge?.(store) ?? null;
  const bodyId = `jp-Himalia-section-${section.id}`;
  const Caret = folded ? caretRightIcon : caretDownIcon;
  return (
    <section className="jp-Himalia-section" data-section={section.id}>
      <div className="jp-Himalia-sectionHead">
        <h3>
          <button
            type="button"
            className="jp-Himalia-fold"
            aria-expanded={!folded}
            aria-controls={bodyId}
            onClick={() => onFold(!folded)}
          >
            <Caret.react tag="span" aria-hidden="true" />
            <span>{section.title}</span>
            {badge && <span className="jp-Himalia-badge">{badge}</span>}
          </button>
        </h3>
        <div className="jp-Himalia-sectionTools">
          {section.toolbar
            ?.filter(({ command, args }) => canShow(commands, command, args))
            .map(({ command, args, icon }) => (
              <IconButton
                key={`${command} ${JSON.stringify(args ?? {})}`}
                icon={icon}
                label={commands.label(command, args)}
                disabledReason={
                  commands.isEnabled(command, args) ? null : commands.caption(command, args)
                }
                onClick={() => void commands.execute(command, args)}
              />
            ))}
        </div>
      </div>
      <div className="jp-Himalia-sectionBody" id={bodyId} hidden={folded}>
        {!folded && <Boundary trans={trans}>{section.render(store)}</Boundary>}
      </div>
    </section>
  );
}

function canShow(
  commands: CommandRegistry,
  command: string,
  args?: Record<string, string>
): boolean {
  return commands.hasCommand(command) && commands.isVisible(command, args);
}
