import { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

/** Properties of `ActionButton`. */
export interface IActionButtonProps {
  label: string;
  onClick: () => void;
  icon?: LabIcon;
  /** The one obvious next step. */
  primary?: boolean;
  /** Why it cannot be done now. The button stays in reach of the keyboard, so that the reason can be read. */
  disabledReason?: string | null;
  /** It is being done. */
  busy?: boolean;
  title?: string;
}

/** A button with words. */
export function ActionButton(props: IActionButtonProps): React.ReactElement {
  const { label, onClick, icon: Icon, primary, disabledReason, busy } = props;
  const disabled = Boolean(disabledReason) || busy === true;
  return (
    <button
      type="button"
      className={`jp-Himalia-button${primary ? ' jp-mod-primary' : ''}`}
      aria-disabled={disabled || undefined}
      aria-busy={busy || undefined}
      title={disabledReason || props.title || undefined}
      onClick={disabled ? undefined : onClick}
    >
      {Icon && <Icon.react tag="span" className="jp-Himalia-buttonIcon" aria-hidden="true" />}
      <span>{label}</span>
    </button>
  );
}

/** A button that is an icon; the label is its tooltip and its name. */
export function IconButton(props: {
  label: string;
  icon: LabIcon;
  onClick: () => void;
  disabledReason?: string | null;
}): React.ReactElement {
  const { label, icon: Icon, onClick, disabledReason } = props;
  return (
    <button
      type="button"
      className="jp-Himalia-iconButton"
      aria-label={label}
      aria-disabled={disabledReason ? true : undefined}
      title={disabledReason ? `${label}: ${disabledReason}` : label}
      onClick={disabledReason ? undefined : onClick}
    >
      <Icon.react tag="span" aria-hidden="true" />
    </button>
  );
}
