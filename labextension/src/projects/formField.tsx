import * as React from 'react';

/** A labelled input of a form, with what is wrong with it below. */
export function Field(props: {
  label: string;
  id: string;
  fault: string | null;
  children: React.ReactElement<React.InputHTMLAttributes<HTMLInputElement>>;
}): React.ReactElement {
  const { label, id, fault, children } = props;
  return (
    <div className="jp-Himalia-field">
      <label htmlFor={id}>{label}</label>
      {React.cloneElement(children, {
        id,
        'aria-invalid': fault !== null,
        'aria-describedby': fault === null ? undefined : `${id}-fault`
      })}
      {fault !== null && (
        <p className="jp-Himalia-fault" id={`${id}-fault`} role="alert">
          {fault}
        </p>
      )}
    </div>
  );
}
