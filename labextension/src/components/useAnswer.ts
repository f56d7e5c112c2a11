import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { toProblem } from '../api/problem';
import type { IHimalia, IPart } from '../tokens';
import { useHimalia } from './hooks';

/**
 * What the service answers to a question of one document.
 *
 * @param path - below /api/v1; null asks nothing
 * @param state - asked again when this changes, and when the connection comes back
 */
export function useAnswer<T>(
  himalia: IHimalia,
  path: string | null,
  trans: TranslationBundle,
  state?: unknown
): IPart<T> {
  const { connection } = useHimalia(himalia);
  const [answer, setAnswer] = React.useState<IPart<T> & { path: string | null }>(() => ({
    path,
    value: null,
    problem: null
  }));
  const live = connection === 'live';
  React.useEffect(() => {
    if (!live || path === null) {
      return;
    }
    let wanted = true;
    himalia.request<T>('GET', path).then(
      value => wanted && setAnswer({ path, value, problem: null }),
      (error: unknown) =>
        wanted &&
        setAnswer(before => ({
          path,
          value: before.path === path ? before.value : null,
          problem: toProblem(error, trans)
        }))
    );
    return () => {
      wanted = false;
    };
  }, [himalia, trans, path, live, state]);
  return answer.path === path ? answer : { value: null, problem: null };
}
