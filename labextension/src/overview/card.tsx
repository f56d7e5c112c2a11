import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ProblemMessage } from '../components';
import { ISlice } from '../tokens';

/** A card about one kind of thing: what is known of it, that it is being asked for, or that there is none. */
export function Card<T>(props: {
  title: string;
  slice: ISlice<T>;
  empty: React.ReactElement;
  trans: TranslationBundle;
  children: (items: readonly T[]) => React.ReactElement;
}): React.ReactElement {
  const { title, slice, empty, trans, children } = props;
  const { items, problem } = slice;
  return (
    <section className="jp-Himalia-card" aria-busy={items === null && !problem}>
      <h2>{title}</h2>
      {problem && <ProblemMessage problem={problem} trans={trans} />}
      {items === null && !problem && (
        <div className="jp-Himalia-skeleton">
          <span className="jp-Himalia-hidden">{trans.__('Loading…')}</span>
        </div>
      )}
      {items && (items.length > 0 ? children(items) : empty)}
    </section>
  );
}
