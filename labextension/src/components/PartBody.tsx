import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Project } from '../api/types';
import type { IPart } from '../tokens';
import { ProblemMessage } from './ProblemMessage';
import { repairFirst } from './repair';

/** What is known of an answer; until then that it is on its way, or why there is none. */
export function PartBody<T>(props: {
  part: IPart<T>;
  /** Whose answer it is, when it follows from the manifest: what is wrong with that is told above, once for all. */
  project?: Project;
  trans: TranslationBundle;
  children: (value: T) => React.ReactElement;
}): React.ReactElement {
  const { part, project, trans, children } = props;
  if (part.value !== null) {
    return children(part.value);
  }
  if (part.problem?.status === 422 && project?.problem) {
    return <p className="jp-Himalia-muted">{repairFirst(project, trans)}</p>;
  }
  return part.problem ? (
    <ProblemMessage problem={part.problem} trans={trans} />
  ) : (
    <p className="jp-Himalia-muted">{trans.__('Loading…')}</p>
  );
}
