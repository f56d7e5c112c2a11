import * as React from 'react';

import { Select } from '../components';
import { fieldKey, IParameter } from './parameters';

/** One parameter of a form. */
export function ParameterField(props: {
  field: IParameter;
  /** What is wrong with it. */
  fault: string | undefined;
  change: (text: string) => void;
}): React.ReactElement {
  const { field, fault, change } = props;
  const id = `${React.useId()}-${fieldKey(field)}`;
  const described = [field.help && `${id}-help`, fault !== undefined && `${id}-fault`];
  const common = {
    id,
    'aria-invalid': fault !== undefined,
    'aria-describedby': described.filter(Boolean).join(' ') || undefined
  };
  return (
    <div className="jp-Himalia-parameter">
      <label htmlFor={id}>{field.name}</label>
      <Entry field={field} change={change} common={common} />
      {field.help && (
        <p className="jp-Himalia-muted jp-Himalia-parameterHelp" id={`${id}-help`}>
          {field.help}
        </p>
      )}
      {fault !== undefined && (
        <p className="jp-Himalia-fault" id={`${id}-fault`} role="alert">
          {fault}
        </p>
      )}
    </div>
  );
}

function Entry(props: {
  field: IParameter;
  change: (text: string) => void;
  common: { id: string; 'aria-invalid': boolean; 'aria-describedby': string | undefined };
}): React.ReactElement {
  const { field, change, common } = props;
  if (field.kind === 'boolean') {
    return (
      <input
        {...common}
        type="checkbox"
        checked={field.text === 'true'}
        onChange={event => change(String(event.target.checked))}
      />
    );
  }
  if (field.choices && field.choices.length > 0) {
    return (
      <Select {...common} value={field.text} onChange={event => change(event.target.value)}>
        {[...new Set([field.text, ...field.choices])].map(choice => (
          <option key={choice}>{choice}</option>
        ))}
      </Select>
    );
  }
  return (
    <input
      {...common}
      type="text"
      className="jp-mod-styled"
      inputMode={field.kind === 'integer' || field.kind === 'number' ? 'decimal' : undefined}
      spellCheck={false}
      value={field.text}
      onChange={event => change(event.target.value)}
    />
  );
}
