import { TranslationBundle } from '@jupyterlab/translation';
import { caretDownIcon, ellipsesIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Project } from '../api/types';
import { ActionButton, IconButton } from '../components';
import { orderProjects, recentProjects } from './recent';

/** What the list to choose from needs. */
export interface IProjectListProps {
  projects: readonly Project[];
  current: string | null;
  trans: TranslationBundle;
  /** Take the focus: the list was asked for. One that stands in the panel must not, somebody may be typing. */
  takesFocus?: boolean;
  /** Another project is the one that Enter opens; null when none matches. */
  onActive?: (slug: string | null) => void;
  onOpen: (slug: string) => void;
}

interface ISwitcherProps extends IProjectListProps {
  onNew: () => void;
  onAll: () => void;
  /** Show what can be done with the open project; the button that was pressed is given. */
  onMenu: (button: Element | null) => void;
  /** Absent when the example is there already. */
  onExample?: () => void;
}

/** A button with the project's name; it opens the list of projects. */
export function Switcher(props: ISwitcherProps): React.ReactElement {
  const { current, trans, onNew, onAll, onMenu, onExample } = props;
  const [open, setOpen] = React.useState(false);
  const button = React.useRef<HTMLButtonElement>(null);
  const close = (act?: () => void) => {
    setOpen(false);
    button.current?.focus();
    act?.();
  };
  const onBlur = (event: React.FocusEvent) => {
    if (!event.currentTarget.contains(event.relatedTarget)) {
      setOpen(false);
    }
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (open && event.key === 'Escape') {
      event.stopPropagation();
      close();
    }
  };
  return (
    <div className="jp-Himalia-switcher" onBlur={onBlur} onKeyDown={onKeyDown}>
      <button
        type="button"
        ref={button}
        className="jp-Himalia-switcherButton"
        aria-haspopup="dialog"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        title={switcherTitle(current, trans)}
      >
        <span className="jp-Himalia-switcherName">{current ?? trans.__('Choose a project')}</span>
        <caretDownIcon.react tag="span" aria-hidden="true" />
      </button>
      <IconButton
        icon={ellipsesIcon}
        label={trans.__('Actions on %1', current ?? '')}
        onClick={() => onMenu(document.activeElement)}
      />
      {open && (
        <div className="jp-Himalia-popover" role="dialog" aria-label={trans.__('Projects')}>
          <ProjectList {...props} takesFocus onOpen={slug => close(() => props.onOpen(slug))} />
          <div className="jp-Himalia-popoverActions">
            <ActionButton label={trans.__('New project…')} onClick={() => close(onNew)} />
            <ActionButton label={trans.__('All projects')} onClick={() => close(onAll)} />
            {onExample && (
              <ActionButton label={trans.__('Open the example')} onClick={() => close(onExample)} />
            )}
          </div>
        </div>
      )}
    </div>
  );
}

function switcherTitle(current: string | null, trans: TranslationBundle): string {
  const help = trans.__('Switch to another project, or make one');
  return current === null ? help : `${current}: ${help}`;
}

/** Type to filter, arrows to move, Enter to open. Recent projects come first. */
export function ProjectList(props: IProjectListProps): React.ReactElement {
  const { projects, current, trans, takesFocus, onActive, onOpen } = props;
  const [filter, setFilter] = React.useState('');
  const [recent] = React.useState(recentProjects);
  // the open project comes first, and Enter goes back to the one before it
  const begin = (shownNow: readonly Project[]) =>
    shownNow.length > 1 && shownNow[0].slug === current ? 1 : 0;
  const [index, setIndex] = React.useState(() => begin(orderProjects(projects, recent, '')));
  const input = React.useRef<HTMLInputElement>(null);
  const id = React.useId();
  React.useEffect(() => {
    if (takesFocus) {
      input.current?.focus();
    }
  }, [takesFocus]);
  const shown = orderProjects(projects, recent, filter);
  const active = Math.min(index, shown.length - 1);
  const activeSlug = shown.length > 0 ? shown[active].slug : null;
  React.useEffect(() => {
    onActive?.(activeSlug); // what it returns is no clean-up
  }, [onActive, activeSlug]);
  const move = (to: number) => {
    const next = (to + shown.length) % shown.length;
    setIndex(next);
    document.getElementById(`${id}-${next}`)?.scrollIntoView({ block: 'nearest' });
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const act = keyAct(event.key, active, shown.length);
    if (shown.length === 0 || act === null) {
      return;
    }
    event.preventDefault();
    if (act === 'open') {
      onOpen(shown[active].slug);
    } else {
      move(act);
    }
  };
  return (
    <>
      <input
        ref={input}
        type="text"
        className="jp-Himalia-filter"
        role="combobox"
        aria-label={trans.__('Filter projects')}
        aria-expanded="true"
        aria-controls={`${id}-list`}
        aria-activedescendant={shown.length > 0 ? `${id}-${active}` : undefined}
        placeholder={trans.__('Type to filter')}
        value={filter}
        onChange={event => {
          setFilter(event.target.value);
          setIndex(begin(orderProjects(projects, recent, event.target.value)));
        }}
        onKeyDown={onKeyDown}
      />
      <ul
        id={`${id}-list`}
        className="jp-Himalia-options"
        role="listbox"
        aria-label={trans.__('Projects')}
      >
        {shown.map((project, position) => (
          <li
            key={project.slug}
            id={`${id}-${position}`}
            role="option"
            aria-selected={position === active}
            className={`jp-Himalia-option${position === active ? ' jp-mod-active' : ''}`}
            onMouseDown={event => event.preventDefault()}
            onClick={() => onOpen(project.slug)}
          >
            <span className="jp-Himalia-optionName">{project.slug}</span>
            <span className="jp-Himalia-muted" title={project.description || undefined}>
              {project.slug === current ? trans.__('open here') : project.description}
            </span>
          </li>
        ))}
      </ul>
      {shown.length === 0 && (
        <p className="jp-Himalia-muted" role="status">
          {trans.__('No project matches.')}
        </p>
      )}
    </>
  );
}

function keyAct(key: string, active: number, length: number): number | 'open' | null {
  switch (key) {
    case 'ArrowDown':
      return active + 1;
    case 'ArrowUp':
      return active - 1;
    case 'Home':
      return 0;
    case 'End':
      return length - 1;
    case 'Enter':
      return 'open';
    default:
      return null;
  }
}
