import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { toProblem } from '../api/problem';
import { at, followText } from '../api/request';
import type { Environment } from '../api/types';
import { ProblemMessage, useHimalia } from '../components';
import type { IHimalia, IProblem } from '../tokens';
import { chosen } from './question';

/** The log of a build, as it is written. */
export function BuildLog(props: {
  himalia: IHimalia;
  serverSettings: ServerConnection.ISettings;
  trans: TranslationBundle;
  slug: string;
  /** Whose build it is; null: of the project's own environment. */
  name: string | null;
  build: NonNullable<Environment['build']>;
}): React.ReactElement {
  const { serverSettings, trans, slug, name, build } = props;
  const live = useHimalia(props.himalia).connection === 'live';
  const [text, setText] = React.useState('');
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const end = React.useRef<HTMLPreElement>(null);
  const { id } = build;
  React.useEffect(() => {
    if (!live) {
      return;
    }
    const reading = new AbortController();
    const question = new URLSearchParams({ build: id, follow: 'true' }).toString();
    const path = `v1/${at('projects', slug, 'environment', 'log')}?${question}${chosen(name, '&')}`;
    let read = '';
    const take = (part: string) => {
      read += part;
      setText(read);
      setProblem(null);
    };
    followText(path, serverSettings, take, reading.signal).catch((error: unknown) =>
      setProblem(toProblem(error, trans))
    );
    return () => reading.abort();
  }, [serverSettings, trans, slug, name, id, live]);
  const building = build.state === 'building';
  React.useEffect(() => {
    if (building && end.current) {
      end.current.scrollTop = end.current.scrollHeight;
    }
  }, [text, building]);
  return (
    <section aria-label={trans.__('Log of the build')} className="jp-Himalia-buildLog">
      <h2>{trans.__('Log of the build')}</h2>
      {problem && <ProblemMessage problem={problem} trans={trans} />}
      <pre ref={end} tabIndex={0} aria-label={trans.__('Log of the build')} aria-busy={building}>
        {text || trans.__('Nothing was written yet.')}
      </pre>
    </section>
  );
}
