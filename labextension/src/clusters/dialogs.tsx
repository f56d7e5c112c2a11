import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Cluster } from '../api/types';
import { FormField, IFormProps, askAndAct } from '../frame/ask';
import { IProjectStore } from '../tokens';
import { suggestName, usersOf } from './names';

interface IClusterForm {
  name: string;
  workers: string;
}

/** Ask for name and size of a new cluster. */
export async function askForCluster(
  store: IProjectStore,
  start: (body: { name: string; workers?: number }) => Promise<unknown>,
  trans: TranslationBundle
): Promise<void> {
  await askAndAct<IClusterForm>({
    title: trans.__('Start a cluster'),
    accept: trans.__('Start'),
    initial: { name: suggestName(store.project, store.clusters.items ?? []), workers: '' },
    trans,
    form: props => <ClusterForm {...props} trans={trans} />,
    act: ({ name, workers }) =>
      start({ name: name.trim(), ...(workers.trim() && { workers: count(workers, trans) }) })
  });
}

function ClusterForm(
  props: IFormProps<IClusterForm> & { trans: TranslationBundle }
): React.ReactElement {
  const { value, change, faulty, trans } = props;
  return (
    <>
      <FormField
        label={trans.__('Name')}
        hint={trans.__('Small letters, digits and -. Stages name the cluster that they want.')}
        faulty={faulty === 'name'}
      >
        {(id, described) => (
          <input
            id={id}
            aria-describedby={described}
            className="jp-mod-styled"
            type="text"
            value={value.name}
            onChange={event => change({ name: event.target.value })}
          />
        )}
      </FormField>
      <WorkersField
        workers={value.workers}
        change={workers => change({ workers })}
        hint={trans.__('Empty: one for each core of the machine.')}
        least={1}
        faulty={faulty === 'workers'}
        trans={trans}
      />
    </>
  );
}

/** Ask for another number of workers. */
export async function askForWorkers(
  cluster: Cluster,
  scale: (workers: number) => Promise<unknown>,
  trans: TranslationBundle
): Promise<void> {
  await askAndAct<{ workers: string }>({
    title: trans.__('Scale the cluster %1', cluster.name),
    accept: trans.__('Scale'),
    initial: { workers: String(cluster.wanted) },
    trans,
    form: ({ value, change, faulty }) => (
      <WorkersField
        workers={value.workers}
        change={workers => change({ workers })}
        hint={trans.__('Now %1. Work of removed workers goes to those that stay.', cluster.workers)}
        least={0}
        faulty={faulty === 'workers'}
        trans={trans}
      />
    ),
    act: ({ workers }) => scale(count(workers, trans))
  });
}

function WorkersField(props: {
  workers: string;
  change: (workers: string) => void;
  hint: string;
  least: number;
  faulty: boolean;
  trans: TranslationBundle;
}): React.ReactElement {
  return (
    <FormField label={props.trans.__('Workers')} hint={props.hint} faulty={props.faulty}>
      {(id, described) => (
        <input
          id={id}
          aria-describedby={described}
          className="jp-mod-styled"
          type="number"
          min={props.least}
          step={1}
          value={props.workers}
          onChange={event => props.change(event.target.value)}
        />
      )}
    </FormField>
  );
}

/** Ask whether a cluster is to be stopped; names what uses it. */
export async function confirmStop(
  store: IProjectStore,
  cluster: Cluster,
  trans: TranslationBundle
): Promise<boolean> {
  const stages = usersOf(store, cluster.name);
  const { button } = await showDialog({
    title: trans.__('Stop the cluster %1?', cluster.name),
    body: (
      <div>
        <p>
          {trans.__('Its workers end. What notebooks have computed on it and not fetched is lost.')}
        </p>
        {stages.length > 0 && (
          <p>{trans.__('Running stages that use it will fail: %1.', stages.join(', '))}</p>
        )}
      </div>
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Stop') })
    ]
  });
  return button.accept;
}

function count(text: string, trans: TranslationBundle): number {
  if (!/^\s*\d+\s*$/.test(text)) {
    throw new Error(trans.__('The number of workers has to be a whole number, not “%1”.', text));
  }
  return Number(text);
}
