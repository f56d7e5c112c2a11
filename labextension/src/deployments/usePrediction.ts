import * as React from 'react';
import { TranslationBundle } from '@jupyterlab/translation';

import { toProblem } from '../api/problem';
import { Prediction } from '../api/types';
import { IProblem } from '../tokens';
import { Invocation } from './invocation';

/** The last question to an endpoint. */
export interface IAsked {
  busy: boolean;
  prediction: Prediction | null;
  /** What `prediction` answers. */
  document: Invocation | null;
  problem: IProblem | null;
}

/** Asks an endpoint, one question at a time. */
export function usePrediction(
  predict: (document: Invocation) => Promise<Prediction>,
  trans: TranslationBundle
): [IAsked, (document: Invocation) => Promise<IProblem | null>] {
  const [asked, setAsked] = React.useState<IAsked>({
    busy: false,
    prediction: null,
    document: null,
    problem: null
  });
  const ask = async (document: Invocation): Promise<IProblem | null> => {
    setAsked(before => ({ ...before, busy: true, problem: null }));
    try {
      const prediction = await predict(document);
      setAsked({ busy: false, prediction, document, problem: null });
      return null;
    } catch (error) {
      const problem = toProblem(error, trans);
      setAsked({ busy: false, prediction: null, document: null, problem });
      return problem;
    }
  };
  return [asked, ask];
}
