import * as React from 'react';

/** A difference in the unified form: what is new and what is gone in colours, and by their signs. */
export function Diff(props: { text: string; label: string }): React.ReactElement {
  return (
    <pre tabIndex={0} aria-label={props.label}>
      {props.text.split('\n').map((line, number) => (
        <span key={number} className={lineClass(line)}>
          {`${line}\n`}
        </span>
      ))}
    </pre>
  );
}

function lineClass(line: string): string | undefined {
  if (line.startsWith('+') && !line.startsWith('+++')) {
    return 'jp-mod-added';
  }
  if (line.startsWith('-') && !line.startsWith('---')) {
    return 'jp-mod-removed';
  }
  return undefined;
}
