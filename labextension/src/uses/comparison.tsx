import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Comparison } from '../api/types';
import { Diff, StateDot } from '../components';

/** What differs between two versions: first what callers meet, then the files. */
export function ComparisonView(props: {
  comparison: Comparison;
  trans: TranslationBundle;
}): React.ReactElement {
  const { comparison, trans } = props;
  const { api, files, breaking, faults } = comparison;
  return (
    <>
      <p role="status">
        <StateDot
          state={breaking ? 'lost' : 'ready'}
          label={
            breaking
              ? trans.__('Calls that worked may fail.')
              : trans.__('Calls that worked go on working, as far as signatures tell.')
          }
          trans={trans}
        />
      </p>
      {api.length > 0 && (
        <table className="jp-Himalia-table">
          <thead>
            <tr>
              <th scope="col">{trans.__('Function or class')}</th>
              <th scope="col">{trans.__('What')}</th>
              <th scope="col">{trans.__('Before')}</th>
              <th scope="col">{trans.__('After')}</th>
            </tr>
          </thead>
          <tbody>
            {api.map(change => (
              <tr key={change.name}>
                <th scope="row">
                  <code>{change.name}</code>
                </th>
                <td>
                  {change.kinds.map(kind => kindWord(kind, trans)).join(', ')}
                  {change.breaking && (
                    <span className="jp-Himalia-badge">{trans.__('breaking')}</span>
                  )}
                </td>
                <td>{change.before === null ? '–' : <code>{change.before}</code>}</td>
                <td>{change.after === null ? '–' : <code>{change.after}</code>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {api.length + files.length === 0 && <p>{trans.__('Nothing: both have the same files.')}</p>}
      {files.map(file => (
        <details key={file.path} className="jp-Himalia-diff">
          <summary>
            <code>{file.path}</code> <span>{fileWord(file.change, trans)}</span>
          </summary>
          {file.diff === null ? (
            <p className="jp-Himalia-muted">{trans.__('It is no text.')}</p>
          ) : (
            <Diff text={file.diff} label={file.path} />
          )}
          {file.cut && (
            <p className="jp-Himalia-muted">{trans.__('It has more lines than are shown.')}</p>
          )}
        </details>
      ))}
      {faults.map(fault => (
        <p key={fault} className="jp-Himalia-muted">
          {fault}
        </p>
      ))}
    </>
  );
}

function kindWord(kind: string, trans: TranslationBundle): string {
  switch (kind) {
    case 'added':
      return trans.__('new');
    case 'removed':
      return trans.__('gone');
    case 'signature':
      return trans.__('other signature');
    case 'docstring':
      return trans.__('other words');
    case 'code':
      return trans.__('other code');
    default:
      return kind;
  }
}

function fileWord(change: string, trans: TranslationBundle): string {
  switch (change) {
    case 'added':
      return trans.__('new');
    case 'removed':
      return trans.__('gone');
    default:
      return trans.__('changed');
  }
}
