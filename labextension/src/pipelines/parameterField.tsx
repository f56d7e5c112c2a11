import * as React from 'react';

import { Select } from '../components';
import { fieldKey, IParameter } from './parameters';

/** The parameters of a form, by stage. */
export function ParameterFields<F extends IParameter>(props: {
  fields: readonly F[];
  faults: ReadonlyMap<string, string>;
  change: (field: F, text: string) => void;
  /** How a field is entered, where it is not as a single value. */
  entry?: (field: F, common: ICommon, change: (text: string) => void) => React.ReactElement;
}): React.ReactElement {
  const { fields, faults, change, entry } = props;
  const stages = [...new Set(fields.map(({ stage }) => stage))];
  return (
    <>
      {stages.map(stage => (
        <fieldset key={stage}>
          <legend>{stage}</legend>
          {fields
            .filter(field => field.stage === stage)
            .map(field => (
              <ParameterField
                key={fieldKey(field)}
                field={field}
                fault={faults.get(fieldKey(field))}
                change={text => change(field, text)}
                entry={entry && (common => entry(field, common, text => change(field, text)))}
              />
            ))}
        </fieldset>
      ))}
    </>
  );
}

/** What each entry is given. */
export interface ICommon {
  id: string;
  'aria-invalid': boolean;
  'aria-describedby': string | undefined;
}

/** One parameter of a form. */
export function ParameterField(props: {
  field: IParameter;
  /** What is wrong with it. */
  fault: string | undefined;
  change: (text: string) => void;
  /** How it is entered, where it is not as a single value. */
  entry?: (common: ICommon) => React.ReactElement;
}): React.ReactElement {
  const { field, fault, change } = props;
  const id = `${React.useId()}-${fieldKey(field)}`;
  const described = [field.help && `${id}-help`, fault !== undefined && `${id}-fault`];
  const common: ICommon = {
    id,
    'aria-invalid': fault !== undefined,
    'aria-describedby': described.filter(Boolean).join(' ') || undefined
  };
  return (
    <div className="jp-Himalia-parameter">
      <label htmlFor={id}>{field.name}</label>
      {props.entry?.(common) ?? <Entry field={field} change={change} common={common} />}
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
  common: ICommon;
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
