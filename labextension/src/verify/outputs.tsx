import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import type { VerifiedOutput } from '../api/types';

/** Outputs of a cell as a notebook shows them. They may be anybody's: nothing in them is trusted. */
export function Outputs(props: {
  outputs: readonly VerifiedOutput[];
  rendermime: IRenderMimeRegistry;
  label: string;
  trans: TranslationBundle;
}): React.ReactElement {
  const { outputs, rendermime, label, trans } = props;
  return (
    <div className="jp-Himalia-outputs" role="group" aria-label={label}>
      {outputs.length === 0 && <p className="jp-Himalia-muted">{trans.__('No output.')}</p>}
      {outputs.map((output, index) => (
        <React.Fragment key={index}>
          <Output output={output} rendermime={rendermime} />
          {output.cut && <p className="jp-Himalia-muted">{output.cut}</p>}
        </React.Fragment>
      ))}
    </div>
  );
}

function Output(props: {
  output: VerifiedOutput;
  rendermime: IRenderMimeRegistry;
}): React.ReactElement {
  const { output, rendermime } = props;
  const place = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    const host = place.current;
    const data = bundle(output);
    const type = rendermime.preferredMimeType(data, 'ensure');
    if (!host || type === undefined) {
      return;
    }
    const renderer = rendermime.createRenderer(type);
    void renderer.renderModel(rendermime.createModel({ data, trusted: false }));
    Widget.attach(renderer, host);
    return () => renderer.dispose();
  }, [output, rendermime]);
  return <div className="jp-RenderedHTMLCommon jp-OutputArea-output" ref={place} />;
}

function bundle({ output_type: type, name, text, data }: VerifiedOutput): Record<string, string> {
  if (text === null) {
    return data as Record<string, string>;
  }
  const wrong = type === 'error' || name === 'stderr';
  return { [`application/vnd.jupyter.${wrong ? 'stderr' : 'stdout'}`]: text };
}
