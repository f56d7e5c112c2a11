import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ActionButton, ProblemMessage } from '../components';
import { Invocation } from './invocation';
import { Shown, showPrediction } from './prediction';
import { IAsked } from './usePrediction';

/** The form's foot: its buttons, and what came of the last question. */
export function Outcome(props: {
  asked: IAsked;
  /** What would be asked now; null while that is not right. */
  document: Invocation | null;
  /** How many fields are wrong. */
  faulty: number;
  signature: unknown;
  disabledReason?: string;
  reset?: () => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const { asked, document, faulty, signature, disabledReason, reset, trans } = props;
  const { busy, prediction, problem } = asked;
  const disabled = busy || Boolean(disabledReason);
  const old = JSON.stringify(document) !== JSON.stringify(asked.document);
  const answer = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    if (prediction || problem) {
      answer.current?.scrollIntoView?.({ block: 'nearest' });
    }
  }, [prediction, problem]);
  return (
    <>
      <div className="jp-Himalia-tryBar">
        <button
          type="submit"
          className="jp-Himalia-button jp-mod-primary"
          aria-disabled={disabled || undefined}
          aria-busy={busy || undefined}
          title={disabledReason}
        >
          {busy ? trans.__('Predicting…') : trans.__('Predict')}
        </button>
        {reset && <ActionButton label={trans.__('Back to the example')} onClick={reset} />}
        {faulty > 0 && (
          <span role="alert" className="jp-Himalia-tryFault">
            {trans._n('%1 field needs a look.', '%1 fields need a look.', faulty)}
          </span>
        )}
      </div>
      <div ref={answer} role="status" aria-busy={busy || undefined}>
        {problem && <ProblemMessage problem={problem} trans={trans} />}
        {prediction && (
          <div className="jp-Himalia-outcome">
            <h3>{trans.__('Prediction')}</h3>
            <PredictionView
              shown={showPrediction(prediction.predictions, signature)}
              label={trans.__('Prediction')}
            />
            <p className="jp-Himalia-muted">
              {trans.__('answered in %1 ms', formatMilliseconds(prediction.milliseconds))}
              {old && ` · ${trans.__('of the values before your changes')}`}
            </p>
          </div>
        )}
      </div>
    </>
  );
}

function formatMilliseconds(value: number): string {
  return value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
}

function PredictionView(props: { shown: Shown; label: string }): React.ReactElement {
  const { shown, label } = props;
  switch (shown.kind) {
    case 'share':
      return <Share value={shown.value} large />;
    case 'shares':
      return (
        <div className="jp-Himalia-shares">
          {shown.items.map(item => (
            <Share key={item.label} {...item} />
          ))}
        </div>
      );
    case 'number':
      return <p className="jp-Himalia-large">{Number(shown.value.toPrecision(6))}</p>;
    case 'class':
      return <p className="jp-Himalia-large">{shown.text}</p>;
    case 'table':
      return <PredictionTable {...shown} label={label} />;
    case 'json':
      return <pre className="jp-Himalia-code">{shown.text}</pre>;
  }
}

/** A probability: percent, and a bar. */
function Share(props: { value: number; label?: string; large?: boolean }): React.ReactElement {
  const { value, label, large } = props;
  const percent = `${(value * 100).toFixed(1)} %`;
  return (
    <div className={`jp-Himalia-share${large ? ' jp-mod-large' : ''}`}>
      {label !== undefined && <span className="jp-Himalia-shareLabel">{label}</span>}
      <span className="jp-Himalia-shareValue" title={String(value)}>
        {percent}
      </span>
      <span className="jp-Himalia-shareBar" aria-hidden="true">
        <span style={{ width: `${value * 100}%` }} />
      </span>
    </div>
  );
}

function PredictionTable(props: {
  columns: readonly string[];
  rows: readonly (readonly string[])[];
  label: string;
}): React.ReactElement {
  const named = props.columns.some(column => column !== '');
  return (
    <div className="jp-Himalia-scroll" role="group" aria-label={props.label} tabIndex={0}>
      <table className="jp-Himalia-table">
        {named && (
          <thead>
            <tr>
              {props.columns.map((column, index) => (
                <th key={index} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {props.rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, place) => (
                <td key={place}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
