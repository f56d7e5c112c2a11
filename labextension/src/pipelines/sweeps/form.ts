import { TranslationBundle } from '@jupyterlab/translation';

import type { Parameter, Stage } from '../../api/types';
import { fieldKey, IParameter, kindOf, notebookFields, readField, textOf } from '../parameters';
import { inOrder } from '../rows';

/** The most runs of a sweep, as the service has it. */
export const MOST_POINTS = 1000;

/** Stage → parameter → its values, as a sweep takes them. */
export type Grid = Record<string, Record<string, unknown[]>>;

/** One parameter of the form; it takes one value or several. */
export interface ISweepField extends IParameter {
  /** The values that it has in himalia.toml, or in the notebook. */
  values: readonly unknown[];
}

/** What was entered: its grid, the runs that come of it, and what is wrong by "stage.name". */
export interface ISweep {
  grid: Grid;
  /** Values of each parameter that has several. */
  factors: number[];
  /** Null while there are faults. */
  count: number | null;
  faults: Map<string, string>;
}

/**
 * The form's fields: what each stage's notebook takes, with the values of himalia.toml where that has some.
 *
 * @param parameters - of notebooks, by path
 */
export function sweepFields(
  stages: readonly Stage[],
  parameters: ReadonlyMap<string, readonly Parameter[]>
): ISweepField[] {
  return inOrder(stages).flatMap(stage => {
    const listed = (value: unknown): value is unknown[] =>
      stage.settings.sweep === true && Array.isArray(value);
    // the kind of a parameter is that of one of its values
    const given = Object.fromEntries(
      Object.entries(stage.params).map(([name, value]) => [name, listed(value) ? value[0] : value])
    );
    const taken = parameters.get(stage.notebook) ?? [];
    const whole = new Set(
      taken.filter(({ annotation }) => annotation === 'int').map(({ name }) => name)
    );
    return notebookFields(stage.name, taken, given).map(field => {
      const own = stage.params[field.name];
      const values = listed(own) ? own : [field.value];
      // a default of 7 takes any number, unless it is said to be whole
      const usual = field.kind === 'integer' && !whole.has(field.name) ? 'number' : field.kind;
      const kind = values.every(value => fits(value, usual)) ? usual : widest(values);
      return { ...field, kind, values, text: shown(values, kind) };
    });
  });
}

/** Read the form. */
export function readSweep(fields: readonly ISweepField[], trans: TranslationBundle): ISweep {
  const grid: Grid = {};
  const factors: number[] = [];
  const faults = new Map<string, string>();
  for (const field of fields) {
    try {
      const values = readValues(field, trans);
      const same = JSON.stringify(values) === JSON.stringify(field.values);
      if (!same || values.length > 1) {
        (grid[field.stage] ??= {})[field.name] = values;
      }
      if (values.length > 1) {
        factors.push(values.length);
      }
    } catch (error) {
      faults.set(fieldKey(field), (error as Error).message);
    }
  }
  const count = faults.size > 0 ? null : factors.reduce((all, one) => all * one, 1);
  return { grid, factors, count, faults };
}

/** Why no sweep comes of so many runs; null when one does. */
export function refusal(count: number, trans: TranslationBundle): string | null {
  if (count > MOST_POINTS) {
    return trans.__(
      'A sweep has at most %1 runs. Take values out.',
      MOST_POINTS.toLocaleString('en')
    );
  }
  return count < 2
    ? trans.__('Give a parameter several values. For a single run there is “Run with parameters…”.')
    : null;
}

/** The values in a field; throws a sentence for the user when they cannot be read. */
export function readValues(field: IParameter, trans: TranslationBundle): unknown[] {
  const texts = textsOf(field, trans);
  if (texts.length === 0) {
    throw new Error(trans.__('Write at least one value.'));
  }
  const values = texts.map(text => {
    const value = readField({ ...field, text }, trans);
    const { choices } = field;
    if (choices && choices.length > 0 && !choices.includes(textOf(value, field.kind))) {
      throw new Error(trans.__('%1 is none of %2.', text, choices.join(', ')));
    }
    return value;
  });
  const known = values.map(value => JSON.stringify(value));
  const twice = known.find((text, index) => known.indexOf(text) !== index);
  if (twice !== undefined) {
    throw new Error(trans.__('%1 stands there twice.', twice));
  }
  return values;
}

/** Values as they stand in a field: one a line; as a JSON list what would not survive that. */
function shown(values: readonly unknown[], kind: IParameter['kind']): string {
  const texts = values.map(value => textOf(value, kind));
  const plain = texts.every(text => text === text.trim() && !/\n|^\[/.test(text));
  return kind === 'text' && (!plain || (texts.length > 1 && texts.includes('')))
    ? JSON.stringify(texts)
    : texts.join('\n');
}

/** The text of each value: the lines, or the items of a JSON list. */
function textsOf(field: IParameter, trans: TranslationBundle): string[] {
  const text = field.text.trim();
  if (field.kind === 'json') {
    return isJson(text) ? [text] : linesOf(text); // one value may go over lines
  }
  if (text.startsWith('[')) {
    const list = listOf(text);
    if (list) {
      return list.map(item => (typeof item === 'string' ? item : JSON.stringify(item)));
    }
    if (field.kind !== 'text') {
      throw new Error(trans.__('Write one value a line, or a JSON list such as [1, 2].'));
    }
  }
  // an empty text is a value where it is one already
  return text === '' && field.value === '' ? [''] : linesOf(text);
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
}

function listOf(text: string): unknown[] | null {
  const value = isJson(text) ? (JSON.parse(text) as unknown) : null;
  return Array.isArray(value) ? value : null;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function fits(value: unknown, kind: IParameter['kind']): boolean {
  const own = kindOf(value);
  return own === kind || (own === 'integer' && kind === 'number');
}

/** The kind of which all values are: numbers, or anything that JSON has. */
function widest(values: readonly unknown[]): IParameter['kind'] {
  return values.length > 0 && values.every(value => typeof value === 'number') ? 'number' : 'json';
}
