import { TranslationBundle } from '@jupyterlab/translation';
import { deleteIcon, editIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import type { Secret } from '../api/types';
import { CommandIDs } from '../commands';
import { Ago, EmptyState, IconButton, PartBody } from '../components';
import { keyIcon } from '../frame/icons';
import type { IProjectStore } from '../tokens';
import { ISecretList, SECRETS } from './question';

interface ISectionProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The names of the project's secrets. */
export default function SecretSection(props: ISectionProps): React.ReactElement {
  const { store, commands, trans } = props;
  const refused = refusedBy(store.project.role, 'secret.write', trans);
  const hidden = refusedBy(store.project.role, 'secret.list', trans);
  if (hidden) {
    return <p className="jp-Himalia-muted">{hidden}</p>;
  }
  return (
    <PartBody part={store.part<ISecretList>(SECRETS)} trans={trans}>
      {({ items }) =>
        items.length === 0 ? (
          <EmptyState
            text={trans.__(
              'No secrets. Passwords and keys that are set here reach kernels and stages as variables, and nothing else.'
            )}
            action={{
              label: trans.__('Set a secret…'),
              onClick: () => void commands.execute(CommandIDs.setSecret),
              disabledReason: refused
            }}
          />
        ) : (
          <ul className="jp-Himalia-items" role="list">
            {items.map(secret => (
              <SecretRow key={secret.name} secret={secret} refused={refused} {...props} />
            ))}
          </ul>
        )
      }
    </PartBody>
  );
}

function SecretRow(
  props: ISectionProps & { secret: Secret; refused: string | undefined }
): React.ReactElement {
  const { secret, refused, commands, trans } = props;
  const { name } = secret;
  return (
    <li className="jp-Himalia-item">
      <div className="jp-Himalia-itemHead">
        <keyIcon.react tag="span" className="jp-Himalia-itemIcon" aria-hidden="true" />
        <code className="jp-Himalia-itemName" title={name}>
          {name}
        </code>
        <span className="jp-Himalia-itemActions">
          <IconButton
            label={trans.__('Set %1 anew', name)}
            icon={editIcon}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.setSecret, { name })}
          />
          <IconButton
            label={trans.__('Delete %1', name)}
            icon={deleteIcon}
            disabledReason={refused}
            onClick={() => void commands.execute(CommandIDs.deleteSecret, { name })}
          />
        </span>
      </div>
      <div className="jp-Himalia-itemFacts">
        {trans.__('set by %1', secret.created_by)} <Ago at={secret.changed_at} trans={trans} />
      </div>
      {secret.problem && <div className="jp-Himalia-itemError">{secret.problem}</div>}
    </li>
  );
}
