import * as React from 'react';

import { parseDocument, sampleDocument } from './invocation';
import { Outcome } from './outcome';
import { IAskProps } from './tryForm';
import { usePrediction } from './usePrediction';

/** A document to write by hand, for models that have no columns to make fields from. */
export function TryJson(props: IAskProps): React.ReactElement {
  const { example, predict, onDocument, disabledReason, trans } = props;
  const start = React.useMemo(
    () => JSON.stringify(sampleDocument(example.signature, example.example), null, 2),
    [example]
  );
  const [text, setText] = React.useState(start);
  const [fault, setFault] = React.useState<string | null>(null);
  const [asked, ask] = usePrediction(predict, trans);
  const id = React.useId();

  const document = React.useMemo(() => {
    const parsed = parseDocument(text, trans);
    return 'document' in parsed ? parsed.document : null;
  }, [text, trans]);
  React.useEffect(() => {
    if (document) {
      onDocument(document);
    }
  }, [document, onDocument]);

  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    if (disabledReason || asked.busy) {
      return;
    }
    const parsed = parseDocument(text, trans);
    setFault('fault' in parsed ? parsed.fault : null);
    if ('document' in parsed) {
      await ask(parsed.document);
    }
  };
  return (
    <form onSubmit={submit} noValidate>
      <div className={`jp-Himalia-tryField${fault ? ' jp-mod-faulty' : ''}`}>
        <label htmlFor={id}>{trans.__('Request')}</label>
        <textarea
          id={id}
          className="jp-Himalia-tryJson"
          rows={Math.min(18, Math.max(6, text.split('\n').length))}
          spellCheck={false}
          value={text}
          aria-invalid={fault !== null || undefined}
          aria-describedby={`${id}-hint${fault ? ` ${id}-fault` : ''}`}
          onChange={event => {
            setText(event.target.value);
            setFault(null);
          }}
        />
        <span id={`${id}-hint`} className="jp-Himalia-tryHint">
          {trans.__('JSON, as MLflow’s /invocations takes it.')}
        </span>
        {fault && (
          <span id={`${id}-fault`} className="jp-Himalia-tryFault">
            {fault}
          </span>
        )}
      </div>
      <Outcome
        asked={asked}
        document={document}
        faulty={fault ? 1 : 0}
        signature={example.signature}
        disabledReason={disabledReason}
        reset={() => {
          setText(start);
          setFault(null);
        }}
        trans={trans}
      />
    </form>
  );
}
