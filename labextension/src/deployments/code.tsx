import { Clipboard } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { checkIcon, copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Deployment } from '../api/types';
import { IconButton } from '../components';
import { Invocation } from './invocation';
import { curlSnippet, pythonSnippet, tokenCommand } from './snippets';

/** The endpoint's address, and how to get a token for it. */
export function AddressCard(props: {
  deployment: Deployment;
  slug: string;
  trans: TranslationBundle;
}): React.ReactElement {
  const { deployment, slug, trans } = props;
  const command = tokenCommand(deployment.name, slug);
  return (
    <section className="jp-Himalia-card">
      <h2>{trans.__('Address')}</h2>
      <Copyable text={deployment.url ?? ''} label={trans.__('Copy the address')} trans={trans} />
      <p>{trans.__('Applications send a token with each request. Make one in a terminal:')}</p>
      <Copyable text={command} label={trans.__('Copy the command')} trans={trans} />
    </section>
  );
}

/** How to ask the endpoint from elsewhere, with what stands in the form. */
export function CodeCard(props: {
  deployment: Deployment;
  document: Invocation;
  trans: TranslationBundle;
}): React.ReactElement {
  const { deployment, document, trans } = props;
  const [language, setLanguage] = React.useState<'curl' | 'python'>('curl');
  const url = deployment.url ?? '';
  const text = language === 'curl' ? curlSnippet(url, document) : pythonSnippet(url, document);
  const choice = (value: typeof language, label: string) => (
    <button type="button" aria-pressed={language === value} onClick={() => setLanguage(value)}>
      {label}
    </button>
  );
  return (
    <section className="jp-Himalia-card">
      <div className="jp-Himalia-cardHead">
        <h2>{trans.__('Code')}</h2>
        <div className="jp-Himalia-segments" role="group" aria-label={trans.__('Language')}>
          {choice('curl', 'curl')}
          {choice('python', 'Python')}
        </div>
      </div>
      <Copyable text={text} label={trans.__('Copy the code')} trans={trans} block />
      <p className="jp-Himalia-muted">{trans.__('TOKEN holds the token of this endpoint.')}</p>
    </section>
  );
}

/** Text in the code font with a button that copies it. */
function Copyable(props: {
  text: string;
  label: string;
  trans: TranslationBundle;
  block?: boolean;
}): React.ReactElement {
  const { text, label, trans, block } = props;
  const [copied, setCopied] = React.useState(false);
  React.useEffect(() => {
    if (!copied) {
      return;
    }
    const timer = window.setTimeout(() => setCopied(false), 2000);
    return () => window.clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    Clipboard.copyToSystem(text);
    setCopied(true);
  };
  return (
    <div className={`jp-Himalia-copyable${block ? ' jp-mod-block' : ''}`}>
      {/* scrolls: has to be reached by keyboard */}
      <pre tabIndex={block ? 0 : undefined}>{text}</pre>
      <IconButton label={label} icon={copied ? checkIcon : copyIcon} onClick={copy} />
      <span role="status" className="jp-Himalia-hidden">
        {copied ? trans.__('Copied') : ''}
      </span>
    </div>
  );
}
