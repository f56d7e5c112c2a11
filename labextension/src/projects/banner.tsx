import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { CommandIDs } from '../commands';
import { ActionButton, ProblemMessage, StateDot } from '../components';
import { connectionHelp } from '../service/words';
import type { IHimalia, IProjectStore } from '../tokens';
import { Problems } from './problems';

interface IBannerProps {
  himalia: IHimalia;
  store: IProjectStore | null;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** What stands between the user and the service or the project, with the way out. */
export function Banner(props: IBannerProps): React.ReactElement | null {
  const { himalia, store, commands, trans } = props;
  const old =
    store !== null && ['stopped', 'lost', 'refused', 'newer'].includes(himalia.connection);
  const parts = [
    connectionPart(himalia, trans),
    old && (
      <p key="old" className="jp-Himalia-bannerNote">
        {trans.__('Below is what was known last.')}
      </p>
    ),
    himalia.deleted === null ? null : (
      <ProblemMessage
        key="deleted"
        trans={trans}
        problem={{
          message: trans.__('The project %1 has been archived or deleted.', himalia.deleted),
          hint: trans.__(
            'Files that are open here stay open. All projects shows it and can bring it back, unless you are no longer a member of it; or choose another one below.'
          ),
          status: 404
        }}
      />
    ),
    store?.project.missing && (
      <ProblemMessage
        key="missing"
        trans={trans}
        problem={{
          message: trans.__('The folder of this project is gone: %1', store.project.path),
          hint: trans.__('If it was moved, say where it is now; nothing of the project is lost.'),
          status: 404
        }}
        action={{
          label: trans.__('Say where it is…'),
          onClick: () => void commands.execute(CommandIDs.moveProject)
        }}
      />
    ),
    store && !store.project.missing && (
      <Problems key="manifest" store={store} commands={commands} trans={trans} />
    )
  ];
  return <div className="jp-Himalia-banner">{parts}</div>;
}

function connectionPart(himalia: IHimalia, trans: TranslationBundle): React.ReactElement | null {
  const { connection, problem } = himalia;
  const help = connectionHelp(connection, trans);
  const told = problem ?? { message: help, hint: '', status: 0 };
  switch (connection) {
    case 'live':
      return problem && <ProblemMessage key="problem" problem={problem} trans={trans} />;
    case 'connecting':
      return <Waiting key="connecting" text={trans.__('Connecting to Himalia…')} trans={trans} />;
    case 'starting':
      return (
        <Waiting
          key="starting"
          text={trans.__('Himalia is starting. This takes some seconds, the first time longer.')}
          trans={trans}
        />
      );
    case 'stopped':
      return (
        <div className="jp-Himalia-bannerPart" key="stopped">
          <h3>{trans.__('Himalia is stopped')}</h3>
          <p>{problem?.message ?? help}</p>
          {problem?.hint && <p>{problem.hint}</p>}
          <ActionButton
            primary
            label={trans.__('Start Himalia')}
            onClick={() => void himalia.start()}
          />
        </div>
      );
    case 'lost':
      return (
        <ProblemMessage
          key="lost"
          problem={{ ...told, hint: told.hint || help }}
          trans={trans}
          action={{
            label: trans.__('Try again now'),
            busyLabel: trans.__('Trying…'),
            onClick: () => himalia.start()
          }}
        />
      );
    case 'newer':
      return <ProblemMessage key="newer" problem={told} trans={trans} />;
    case 'refused':
      return (
        <ProblemMessage
          key="refused"
          // the server's own word for it is "Forbidden"
          problem={{
            message: help,
            hint: problem?.hint ?? '',
            technical: problem?.message,
            status: 403
          }}
          trans={trans}
          action={{ label: trans.__('Reload the page'), onClick: () => window.location.reload() }}
        />
      );
  }
}

function Waiting(props: { text: string; trans: TranslationBundle }): React.ReactElement {
  return (
    <div className="jp-Himalia-waiting" role="status">
      <StateDot state="starting" label={props.text} trans={props.trans} />
    </div>
  );
}
