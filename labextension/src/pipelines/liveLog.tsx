import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { at } from '../api/request';
import type { StageRun } from '../api/types';
import { ProblemMessage } from '../components';
import type { IHimalia, IProblem } from '../tokens';
import { toProblem } from '../api/problem';

/** Characters of a log that are shown: its end. */
const SHOWN = 40_000;

/** What a stage prints; read again with each cell that it comes to, and at its end. */
export function LiveLog(props: {
  himalia: IHimalia;
  slug: string;
  run: string;
  stage: StageRun;
  trans: TranslationBundle;
}): React.ReactElement {
  const { himalia, slug, run, stage, trans } = props;
  const { name, status, cell, attempts } = stage;
  const [text, setText] = React.useState<string | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const place = React.useRef<HTMLPreElement>(null);
  const begun = stage.started_at !== null;
  React.useEffect(() => {
    if (!begun) {
      return;
    }
    let wanted = true;
    himalia
      .download(at('projects', slug, 'runs', run, 'stages', name, 'log'))
      .then(({ file }) => file.text())
      .then(
        answer => {
          if (wanted) {
            setText(answer.slice(-SHOWN));
            setProblem(null);
          }
        },
        (error: unknown) => wanted && setProblem(toProblem(error, trans))
      );
    return () => {
      wanted = false;
    };
  }, [himalia, trans, slug, run, name, status, cell, attempts, begun]);
  React.useEffect(() => {
    const element = place.current;
    if (element) {
      element.scrollTop = element.scrollHeight;
    }
  }, [text]);
  return (
    <>
      {problem && <ProblemMessage problem={problem} trans={trans} />}
      <pre
        ref={place}
        className="jp-Himalia-liveLog"
        tabIndex={0}
        aria-label={trans.__('Log of %1', name)}
      >
        {text || (begun ? trans.__('Nothing was printed.') : trans.__('The stage has not begun.'))}
      </pre>
    </>
  );
}
