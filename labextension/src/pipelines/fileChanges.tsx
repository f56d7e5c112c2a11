import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { ChangedFile, FileDifference } from '../api/types';
import { Diff, formatBytes } from '../components';
import { shortValue } from './keyParts';

/** The files of a stage that are not what they were; of short texts line by line. *open*: so many are unfolded. */
export function FileChanges(props: {
  files: readonly ChangedFile[];
  leftOut: number;
  open: number;
  trans: TranslationBundle;
}): React.ReactElement {
  const { files, leftOut, open, trans } = props;
  return (
    <>
      {files.map((file, index) => (
        <details key={`${file.part} ${file.path}`} className="jp-Himalia-diff" open={index < open}>
          <summary>
            {partWord(file.part, trans)} <code>{file.path}</code>{' '}
            {file.change === 'removed' && file.part !== 'read'
              ? trans.__('is no longer used')
              : changeWord(file, trans)}
          </summary>
          <What file={file} trans={trans} />
          {file.files.length > 0 && (
            <ul className="jp-Himalia-changes">
              {file.files.map(inner => (
                <li key={inner.path}>
                  <code>{inner.path}</code> {changeWord(inner, trans)}
                  <What file={inner} trans={trans} />
                </li>
              ))}
              {file.left_out > 0 && (
                <li>{trans._n('and %1 more', 'and %1 more', file.left_out)}</li>
              )}
            </ul>
          )}
        </details>
      ))}
      {leftOut > 0 && (
        <p className="jp-Himalia-muted">
          {trans._n('%1 file more differs.', '%1 files more differ.', leftOut)}
        </p>
      )}
    </>
  );
}

function What(props: { file: FileDifference; trans: TranslationBundle }): React.ReactElement {
  const { file, trans } = props;
  return (
    <>
      <p className="jp-Himalia-muted">
        <Side digest={file.old_digest} size={file.old_size} />
        {file.old_digest !== null && file.new_digest !== null && ' → '}
        <Side digest={file.new_digest} size={file.new_size} />
        {file.note && ` · ${file.note}`}
      </p>
      {file.diff !== null && (
        <Diff text={file.diff} label={trans.__('What has changed in %1', file.path)} />
      )}
      {file.cut && <p className="jp-Himalia-muted">{trans.__('More of it differs.')}</p>}
    </>
  );
}

function Side(props: { digest: string | null; size: number | null }): React.ReactElement | null {
  const { digest, size } = props;
  if (digest === null) {
    return null;
  }
  return (
    <>
      <code title={digest}>{shortValue(digest.replace('tree:', ''))}</code>
      {size !== null && ` (${formatBytes(size)})`}
    </>
  );
}

function partWord(part: string, trans: TranslationBundle): string {
  switch (part) {
    case 'input':
      return trans.__('Input');
    case 'module':
      return trans.__('Module');
    default:
      return trans.__('Read, not declared:');
  }
}

function changeWord({ change }: FileDifference, trans: TranslationBundle): string {
  switch (change) {
    case 'added':
      return trans.__('is new');
    case 'removed':
      return trans.__('is gone');
    default:
      return trans.__('changed');
  }
}
