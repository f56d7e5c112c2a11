import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Shape, stateShape, stateWord } from './states';

/** Properties of `StateDot`. */
export interface IStateDotProps {
  state: string;
  trans: TranslationBundle;
  /** In place of the state's own word. */
  label?: string;
  /** The shape alone; the word is told to those who do not see it. */
  compact?: boolean;
  /** "running" is where it should be (a cluster), not on its way (a run). */
  steady?: boolean;
}

/** A state as shape, colour and word. */
export function StateDot(props: IStateDotProps): React.ReactElement {
  const { state, trans, compact } = props;
  const word = props.label ?? stateWord(state, trans);
  const shape = stateShape(state, props.steady);
  return (
    <span className={`jp-Himalia-state jp-mod-${shape}`} data-state={state} title={word}>
      <svg
        className="jp-Himalia-stateShape"
        viewBox="0 0 16 16"
        width="14"
        height="14"
        role={compact ? 'img' : undefined}
        aria-label={compact ? word : undefined}
        aria-hidden={compact ? undefined : true}
      >
        {drawing(shape)}
      </svg>
      {!compact && <span className="jp-Himalia-stateWord">{word}</span>}
    </span>
  );
}

function drawing(shape: Shape): React.ReactElement {
  switch (shape) {
    case 'check':
      return (
        <>
          <circle cx="8" cy="8" r="7" fill="currentColor" />
          <path d="M4.6 8.2 7 10.6l4.4-5" className="jp-Himalia-stateMark" />
        </>
      );
    case 'cross':
      return (
        <>
          <circle cx="8" cy="8" r="7" fill="currentColor" />
          <path d="m5.4 5.4 5.2 5.2m0-5.2-5.2 5.2" className="jp-Himalia-stateMark" />
        </>
      );
    case 'spinner':
      return (
        <>
          <circle cx="8" cy="8" r="6" className="jp-Himalia-stateTrack" />
          <path d="M8 2a6 6 0 0 1 6 6" className="jp-Himalia-stateArc" />
        </>
      );
    case 'warning':
      return (
        <>
          <path d="M8 1.2 15.4 14.4H.6z" fill="currentColor" />
          <path d="M8 5.8v4.2m0 1.8v.8" className="jp-Himalia-stateMark" />
        </>
      );
    case 'hand':
      return (
        <>
          <circle cx="8" cy="8" r="6.2" className="jp-Himalia-stateLine" />
          <path d="M8 4.4V8l2.6 1.8" className="jp-Himalia-stateLine" />
        </>
      );
    case 'dash':
      return (
        <>
          <circle cx="8" cy="8" r="6.2" className="jp-Himalia-stateLine" />
          <path d="M5 8h6" className="jp-Himalia-stateLine" />
        </>
      );
    case 'skip':
      return (
        <>
          <circle cx="8" cy="8" r="6.2" className="jp-Himalia-stateLine" />
          <path d="m5.2 8.2 2 2 3.6-4.2" className="jp-Himalia-stateLine" />
        </>
      );
    case 'dot':
      return <circle cx="8" cy="8" r="5" fill="currentColor" />;
    case 'ring':
      return <circle cx="8" cy="8" r="6.2" className="jp-Himalia-stateLine" />;
  }
}
