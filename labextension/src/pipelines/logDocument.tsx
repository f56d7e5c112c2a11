import { MainAreaWidget } from '@jupyterlab/apputils';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { fileIcon, ReactWidget, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { toProblem } from '../api/problem';
import { at, requestText } from '../api/request';
import { ActionButton, ProblemMessage, shortId, useHimalia, useStore } from '../components';
import type { IHimalia, IProblem } from '../tokens';
import { Unread } from './unread';

/** Which log, and what the document stands on. */
export interface ILogDocumentProps {
  himalia: IHimalia;
  serverSettings: ServerConnection.ISettings;
  trans: TranslationBundle;
  slug: string;
  run: string;
  stage: string;
  /** An earlier attempt, from 1; null: the last one. */
  attempt: number | null;
}

/** A tab with what a stage printed. */
export function makeLogDocument(props: ILogDocumentProps): MainAreaWidget {
  const { trans, run, stage, attempt } = props;
  const which = attempt === null ? stage : trans.__('%1, attempt %2', stage, attempt);
  const content = ReactWidget.create(<LogDocument {...props} />);
  content.addClass('jp-Himalia-runDocument');
  const widget = new MainAreaWidget({ content });
  widget.title.label = trans.__('%1 · run %2 (log)', which, shortId(run));
  widget.title.icon = fileIcon;
  widget.title.closable = true;
  return widget;
}

/** The text; read again when the stage changes, and on request. */
function LogDocument(props: ILogDocumentProps): React.ReactElement {
  const { himalia, serverSettings, trans, slug, run, stage, attempt } = props;
  const { connection } = useHimalia(himalia);
  const store = useStore(himalia.store);
  const [text, setText] = React.useState<string | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const [asked, ask] = React.useReducer((count: number) => count + 1, 0);
  const status = store?.runs.items
    ?.find(({ id }) => id === run)
    ?.stages.find(({ name }) => name === stage)?.status;
  const live = connection === 'live';
  React.useEffect(() => {
    if (!live) {
      return;
    }
    let wanted = true;
    const path = `v1/${logPath(slug, run, stage, attempt)}`;
    requestText(path, serverSettings).then(
      answer => {
        if (wanted) {
          setText(answer);
          setProblem(null);
        }
      },
      (error: unknown) => {
        if (wanted) {
          setProblem(toProblem(error, trans));
        }
      }
    );
    return () => {
      wanted = false;
    };
  }, [serverSettings, trans, slug, run, stage, attempt, live, status, asked]);
  return (
    <article className="jp-Himalia-log">
      <header>
        <h1>{trans.__('What %1 printed', stage)}</h1>
        <span className="jp-Himalia-fill" />
        <ActionButton icon={refreshIcon} label={trans.__('Read again')} onClick={ask} />
      </header>
      {text === null ? (
        <Unread
          himalia={himalia}
          problem={problem}
          loading={trans.__('Loading the log of %1…', stage)}
          trans={trans}
        />
      ) : (
        problem && <ProblemMessage problem={problem} trans={trans} />
      )}
      {text !== null && (
        <pre tabIndex={0} aria-label={trans.__('Log of %1', stage)}>
          {text || trans.__('Nothing was printed.')}
        </pre>
      )}
    </article>
  );
}

/** Where the service has what a stage printed, below /api/v1. */
function logPath(slug: string, run: string, stage: string, attempt: number | null): string {
  const which = attempt === null ? [] : ['attempts', attempt];
  return at('projects', slug, 'runs', run, 'stages', stage, ...which, 'log');
}
