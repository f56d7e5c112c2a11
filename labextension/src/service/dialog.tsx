import { Dialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { useHimalia } from '../components';
import type { Himalia } from './himalia';
import { connectionHelp, connectionWord } from './words';

/** Show how the page stands to the service; offer to start it when it is stopped. */
export async function showServiceDialog(himalia: Himalia, trans: TranslationBundle): Promise<void> {
  const close = trans.__('Close');
  const canStart = himalia.connection === 'stopped' || himalia.connection === 'lost';
  const buttons = canStart
    ? [
        Dialog.cancelButton({ label: close }),
        Dialog.okButton({
          label: himalia.connection === 'lost' ? trans.__('Try again') : trans.__('Start Himalia')
        })
      ]
    : [Dialog.okButton({ label: close })];
  const dialog = new Dialog<void>({
    title: trans.__('Himalia service'),
    body: <ServiceFacts himalia={himalia} trans={trans} />,
    buttons
  });
  const { button } = await dialog.launch();
  if (!canStart || !button.accept) {
    return;
  }
  await himalia.start();
  if (himalia.connection === 'stopped') {
    await showServiceDialog(himalia, trans);
  }
}

function ServiceFacts(props: { himalia: Himalia; trans: TranslationBundle }): React.ReactElement {
  const { trans } = props;
  const himalia = useHimalia(props.himalia) as Himalia;
  const { connection, facts, problem } = himalia;
  const rows: [string, string | null | undefined][] = [
    [trans.__('State'), connectionWord(connection, trans)],
    [trans.__('Version of the service'), facts?.version],
    [trans.__('Version of this extension'), facts?.extension],
    [trans.__('Site'), facts?.site],
    [trans.__('User'), facts?.user],
    [trans.__('Fault'), problem?.message]
  ];
  return (
    <div>
      <dl className="jp-Himalia-facts">
        {rows
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <React.Fragment key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </React.Fragment>
          ))}
      </dl>
      <p className="jp-Himalia-help">{problem?.hint || connectionHelp(connection, trans)}</p>
    </div>
  );
}
