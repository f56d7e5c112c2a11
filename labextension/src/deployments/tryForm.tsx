import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { EndpointExample, Prediction } from '../api/types';
import { FieldInput } from './fieldInput';
import { FieldValues, IField, initialValues } from './fields';
import { Invocation, buildDocument, faultyField } from './invocation';
import { Outcome } from './outcome';
import { usePrediction } from './usePrediction';

/** Properties of both ways to ask: by a form, and by JSON. */
export interface IAskProps {
  example: EndpointExample;
  predict: (document: Invocation) => Promise<Prediction>;
  onDocument: (document: Invocation) => void;
  disabledReason?: string;
  trans: TranslationBundle;
}

/** One field a column of the signature, filled with the example. */
export function TryForm(props: IAskProps & { fields: readonly IField[] }): React.ReactElement {
  const { fields, example, predict, onDocument, disabledReason, trans } = props;
  const start = React.useMemo(() => initialValues(fields, example.example), [fields, example]);
  const [values, setValues] = React.useState<FieldValues>(start);
  const [faults, setFaults] = React.useState<Readonly<Record<string, string>>>({});
  const [asked, ask] = usePrediction(predict, trans);
  const form = React.useRef<HTMLFormElement>(null);

  const document = React.useMemo(() => {
    const built = buildDocument(fields, values, trans);
    return 'document' in built ? built.document : null;
  }, [fields, values, trans]);
  React.useEffect(() => {
    if (document) {
      onDocument(document);
    }
  }, [document, onDocument]);

  const point = (found: Readonly<Record<string, string>>) => {
    setFaults(found);
    const first = fields.find(field => found[field.name] !== undefined);
    const inputs = form.current?.querySelectorAll<HTMLElement>('[data-column]') ?? [];
    [...inputs].find(input => input.dataset.column === first?.name)?.focus();
  };
  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    if (disabledReason || asked.busy) {
      return;
    }
    const built = buildDocument(fields, values, trans);
    if ('faults' in built) {
      point(built.faults);
      return;
    }
    setFaults({});
    const problem = await ask(built.document);
    const name = problem && faultyField(problem.message, fields);
    if (name) {
      point({ [name]: problem.message });
    }
  };
  const change = (name: string, value: string | boolean) => {
    setValues(before => ({ ...before, [name]: value }));
    setFaults(({ [name]: _, ...rest }) => rest);
  };
  const reset = () => {
    setValues(start);
    setFaults({});
  };
  return (
    <form ref={form} onSubmit={submit} noValidate>
      <div className="jp-Himalia-tryFields">
        {fields.map(field => (
          <FieldInput
            key={field.name}
            field={field}
            value={values[field.name]}
            fault={faults[field.name]}
            change={change}
            trans={trans}
          />
        ))}
      </div>
      <Outcome
        asked={asked}
        document={document}
        faulty={Object.keys(faults).length}
        signature={example.signature}
        disabledReason={disabledReason}
        reset={example.example ? reset : undefined}
        trans={trans}
      />
    </form>
  );
}
