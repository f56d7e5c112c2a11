import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ProblemMessage } from './ProblemMessage';

interface IBoundaryProps {
  trans: TranslationBundle;
  children: React.ReactNode;
}

/** Keeps a fault within its part of the page: without it, a script that cannot be loaded empties the whole panel. */
export class Boundary extends React.Component<IBoundaryProps, { error: Error | null }> {
  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  state = { error: null as Error | null };

  render(): React.ReactNode {
    const { trans, children } = this.props;
    const { error } = this.state;
    if (error === null) {
      return children;
    }
    const problem = {
      message: trans.__('This part of the page could not be shown.'),
      hint: trans.__('JupyterLab was not reachable, or was upgraded while the page was open.'),
      technical: error.message,
      status: 0
    };
    const action = { label: trans.__('Reload the page'), onClick: () => window.location.reload() };
    return <ProblemMessage problem={problem} trans={trans} action={action} />;
  }
}
