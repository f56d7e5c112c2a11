import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { toProblem } from '../api/problem';
import { at } from '../api/request';
import { refusedBy } from '../api/roles';
import { Deployment, EndpointExample, Prediction } from '../api/types';
import { ProblemMessage, StateDot } from '../components';
import { IHimalia, IProblem, IProjectStore } from '../tokens';
import { formFields } from './fields';
import { Invocation } from './invocation';
import { TryForm } from './tryForm';
import { TryJson } from './tryJson';

interface ITryProps {
  himalia: IHimalia;
  trans: TranslationBundle;
  store: IProjectStore;
  deployment: Deployment;
  /** What would be sent now; for the code snippets. */
  onDocument: (document: Invocation) => void;
}

/** Ask the endpoint by hand. */
export function TryCard(props: ITryProps): React.ReactElement {
  const { himalia, trans, store, deployment, onDocument } = props;
  const { example, problem } = useExample(props);
  const path = at('projects', store.slug, 'deployments', deployment.name, 'predict');
  const predict = React.useCallback(
    (document: Invocation) => himalia.request<Prediction>('POST', path, document),
    [himalia, path]
  );
  const signature = example?.signature;
  const fields = React.useMemo(() => formFields(signature), [signature]);
  const refused = refusedBy(store.project.role, 'deployment.predict', trans);
  return (
    <section className="jp-Himalia-card jp-Himalia-try" aria-label={trans.__('Try it')}>
      <h2>{trans.__('Try it')}</h2>
      <NotReady deployment={deployment} trans={trans} />
      {problem && deployment.state === 'ready' && (
        <ProblemMessage problem={problem} trans={trans} />
      )}
      {example &&
        (fields ? (
          <TryForm
            key={JSON.stringify(fields)}
            fields={fields}
            example={example}
            predict={predict}
            onDocument={onDocument}
            disabledReason={refused}
            trans={trans}
          />
        ) : (
          <TryJson
            key={JSON.stringify(signature)}
            example={example}
            predict={predict}
            onDocument={onDocument}
            disabledReason={refused}
            trans={trans}
          />
        ))}
      {!example && !problem && deployment.state === 'ready' && (
        <p className="jp-Himalia-muted">{trans.__('Asking the model what it takes…')}</p>
      )}
    </section>
  );
}

/** Why the endpoint does not answer, or not yet with its newest version. */
function NotReady(props: {
  deployment: Deployment;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { deployment, trans } = props;
  const { state, error } = deployment;
  switch (state) {
    case 'ready':
      return null;
    case 'requested':
      return (
        <p role="status">
          {trans.__('Nothing answers here yet: the version waits for somebody who may deploy.')}
        </p>
      );
    case 'failed':
      return (
        <ProblemMessage
          problem={{
            message: error ?? trans.__('The model could not be loaded.'),
            hint: trans.__('Deploy another version, or mend the model and register it again.'),
            status: 0
          }}
          trans={trans}
        />
      );
    default:
      return (
        <p className="jp-Himalia-tryWait" role="status">
          <StateDot state="starting" compact trans={trans} />
          <span>
            {startingText(deployment, trans)}
            {error && <span className="jp-Himalia-itemError"> {error}</span>}
          </span>
        </p>
      );
  }
}

/** A version is on its way; an older one may answer until then. */
function startingText(deployment: Deployment, trans: TranslationBundle): string {
  const version = deployment.model_version;
  const old = deployment.revisions.find(item => item.weight === 0 && item.state === 'ready');
  return old
    ? trans.__(
        'Version %1 is loaded and asked once; until it is ready, version %2 answers.',
        version,
        old.model_version
      )
    : trans.__(
        'Version %1 is loaded and asked once; the endpoint answers as soon as it is ready.',
        version
      );
}

/** Signature and example of what answers now; asked again when another revision does. */
function useExample(props: ITryProps): {
  example: EndpointExample | null;
  problem: IProblem | null;
} {
  const { himalia, store, deployment, trans } = props;
  const [example, setExample] = React.useState<EndpointExample | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const ready = deployment.state === 'ready';
  const live = deployment.revisions.find(revision => revision.weight > 0)?.id;
  const path = at('projects', store.slug, 'deployments', deployment.name, 'example');
  React.useEffect(() => {
    if (!ready) {
      return; // what is known stays, and with it what was typed
    }
    let wanted = true;
    himalia.request<EndpointExample>('GET', path).then(
      found => {
        if (wanted) {
          setExample(found);
          setProblem(null);
        }
      },
      error => wanted && setProblem(toProblem(error, trans))
    );
    return () => {
      wanted = false;
    };
  }, [himalia, path, ready, live, trans]);
  return { example, problem };
}
