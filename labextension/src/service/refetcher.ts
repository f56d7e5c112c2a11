import { IClock } from './clock';

/** Milliseconds that changes are gathered before they are asked for. */
const GATHER = 60;

interface IQuestion {
  again: boolean;
  done: Promise<void>;
}

/**
 * Asks for parts again when they have changed: many changes in a row make one question, and one part is never
 * asked for twice at a time, so that an older answer cannot come after a newer one.
 */
export class Refetcher {
  constructor(private readonly _clock: IClock) {}

  /** Ask for *key* by *ask* (which must not throw), now or once more after the question that is under way. */
  request(key: string, ask: () => Promise<void>, wait = GATHER): Promise<void> {
    const known = this._questions.get(key);
    if (known) {
      known.again = true;
      return known.done;
    }
    const question: IQuestion = { again: false, done: Promise.resolve() };
    this._questions.set(key, question);
    question.done = this._run(key, question, ask, wait);
    return question.done;
  }

  private async _run(
    key: string,
    question: IQuestion,
    ask: () => Promise<void>,
    wait: number
  ): Promise<void> {
    if (wait > 0) {
      await new Promise<void>(resolve => {
        this._clock.setTimeout(resolve, wait);
      });
    }
    do {
      question.again = false;
      await ask();
    } while (question.again);
    this._questions.delete(key);
  }

  private readonly _questions = new Map<string, IQuestion>();
}
