import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IField } from './fields';

/** One column as a field, with what is wrong with it below. */
export function FieldInput(props: {
  field: IField;
  value: string | boolean | undefined;
  fault: string | undefined;
  change: (name: string, value: string | boolean) => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const { field, value, fault, change, trans } = props;
  const id = React.useId();
  const hint = hintOf(field, trans);
  const common = {
    id,
    'data-column': field.name,
    'aria-invalid': fault !== undefined || undefined,
    'aria-describedby': `${id}-hint${fault === undefined ? '' : ` ${id}-fault`}`
  };
  const text = typeof value === 'string' ? value : '';
  const type = (event: React.ChangeEvent<HTMLInputElement>) =>
    change(field.name, event.target.value);
  return (
    <div className={`jp-Himalia-tryField${fault === undefined ? '' : ' jp-mod-faulty'}`}>
      <label htmlFor={id} title={`${field.name}: ${hint}`}>
        {field.name}
        {!field.required && <span aria-hidden="true"> {trans.__('(optional)')}</span>}
      </label>
      {field.kind === 'boolean' ? (
        <span className="jp-Himalia-tryCheck">
          <input
            {...common}
            type="checkbox"
            checked={value === true}
            onChange={event => change(field.name, event.target.checked)}
          />
        </span>
      ) : (
        <input
          {...common}
          className="jp-mod-styled"
          type={field.kind === 'datetime' ? 'datetime-local' : 'text'}
          step={field.kind === 'datetime' ? 'any' : undefined}
          inputMode={inputMode(field)}
          aria-required={field.required}
          autoComplete="off"
          spellCheck={false}
          placeholder={field.required ? undefined : trans.__('empty')}
          value={text}
          onChange={type}
        />
      )}
      <span id={`${id}-hint`} className="jp-Himalia-hidden">
        {hint}
      </span>
      {fault !== undefined && (
        <span id={`${id}-fault`} className="jp-Himalia-tryFault">
          {fault}
        </span>
      )}
    </div>
  );
}

function inputMode(field: IField): 'decimal' | 'numeric' | undefined {
  return { number: 'decimal' as const, integer: 'numeric' as const }[field.kind as string];
}

function hintOf(field: IField, trans: TranslationBundle): string {
  const word = {
    number: trans.__('number'),
    integer: trans.__('whole number'),
    boolean: trans.__('yes or no'),
    text: trans.__('text'),
    datetime: trans.__('date and time')
  }[field.kind];
  return field.required ? word : trans.__('%1, may be empty', word);
}
