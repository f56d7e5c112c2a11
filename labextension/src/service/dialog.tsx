import { Dialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ServiceModel } from './model';
import { stateHelp, stateWord } from './words';

/** Show the service's state; offer to start it when it is stopped. */
export async function showServiceDialog(model: ServiceModel, trans: TranslationBundle): Promise<void> {
  const close = trans.__('Close');
  const before = model.state;
  const canStart = before === 'stopped';
  const buttons = canStart
    ? [Dialog.cancelButton({ label: close }), Dialog.okButton({ label: trans.__('Start') })]
    : [Dialog.okButton({ label: close })];
  const dialog = new Dialog<void>({
    title: trans.__('Himalia service'),
    body: <ServiceFacts model={model} trans={trans} />,
    buttons
  });
  const { button } = await dialog.launch();
  if (!canStart || !button.accept) {
    return;
  }
  await model.start();
  if (model.state !== 'running') {
    await showServiceDialog(model, trans);
  }
}

function ServiceFacts(props: { model: ServiceModel; trans: TranslationBundle }): React.ReactElement {
  const { model, trans } = props;
  const rows: [string, string | null | undefined][] = [
    [trans.__('State'), stateWord(model.state, trans)],
    [trans.__('Version'), model.facts?.version],
    [trans.__('Site'), model.facts?.site],
    [trans.__('Fault'), model.problem?.message]
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
      <p className="jp-Himalia-help">{model.problem?.hint || stateHelp(model.state, trans)}</p>
    </div>
  );
}
