import { TranslationBundle } from '@jupyterlab/translation';

import type { Parameter, Stage } from '../api/types';

/** How a parameter is entered. */
export type Kind = 'boolean' | 'integer' | 'number' | 'text' | 'json';

/** One field of the form. */
export interface IParameter {
  stage: string;
  name: string;
  kind: Kind;
  /** As himalia.toml has it, or the notebook. */
  value: unknown;
  /** What stands in the field. */
  text: string;
  /** What it is, in words. */
  help?: string;
  /** The texts that it may be. */
  choices?: readonly string[];
}

/** Parameters by stage and name, as a run takes them. */
export type Parameters = Record<string, Record<string, unknown>>;

/** The form's fields: what himalia.toml gives to each stage. */
export function parameterFields(stages: readonly Stage[]): IParameter[] {
  return stages.flatMap(stage =>
    Object.entries(stage.params).map(([name, value]) => {
      const kind = kindOf(value);
      return { stage: stage.name, name, kind, value, text: textOf(value, kind) };
    })
  );
}

/**
 * Fields for all that a notebook takes: its own parameters, with the values of himalia.toml where that has some.
 *
 * @param given - values that are set already, by name
 */
export function notebookFields(
  stage: string,
  parameters: readonly Parameter[],
  given: Record<string, unknown>
): IParameter[] {
  const fields = parameters
    .filter(({ name, plain }) => plain || name in given)
    .map(({ name, value: own, help, choices, annotation }) => {
      const value = name in given ? given[name] : own;
      // a float may be written as 1
      const kind = annotation === 'float' && typeof value === 'number' ? 'number' : kindOf(value);
      return {
        stage,
        name,
        kind,
        value,
        text: textOf(value, kind),
        help: help || undefined,
        choices: choices.map(choice => textOf(choice, kind))
      };
    });
  const known = new Set(fields.map(({ name }) => name));
  const others = Object.entries(given).filter(([name]) => !known.has(name));
  return [
    ...fields,
    ...others.map(([name, value]) => {
      const kind = kindOf(value);
      return { stage, name, kind, value, text: textOf(value, kind) };
    })
  ];
}

/** A value as it stands in a field. */
export function textOf(value: unknown, kind: Kind): string {
  return kind === 'json' ? JSON.stringify(value) : String(value);
}

/** What a field holds; throws a sentence for the user when it cannot be read. */
export function readField(field: IParameter, trans: TranslationBundle): unknown {
  const text = field.text.trim();
  switch (field.kind) {
    case 'boolean':
      return text === 'true';
    case 'integer':
    case 'number':
      return readNumber(text, field.kind, trans);
    case 'text':
      return field.text;
    case 'json':
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw new Error(trans.__('Write it as JSON, for example [1, 2, 3] or {"a": 1}.'));
      }
  }
}

/** What was entered and differs from himalia.toml; and what is wrong with it, by "stage.name". */
export function readFields(
  fields: readonly IParameter[],
  trans: TranslationBundle
): { params: Parameters; faults: Map<string, string> } {
  const params: Parameters = {};
  const faults = new Map<string, string>();
  for (const field of fields) {
    try {
      const value = readField(field, trans);
      if (JSON.stringify(value) !== JSON.stringify(field.value)) {
        (params[field.stage] ??= {})[field.name] = value;
      }
    } catch (error) {
      faults.set(fieldKey(field), (error as Error).message);
    }
  }
  return { params, faults };
}

/** What tells fields apart. */
export function fieldKey(field: { stage: string; name: string }): string {
  return `${field.stage}.${field.name}`;
}

/** How a value is entered. */
export function kindOf(value: unknown): Kind {
  switch (typeof value) {
    case 'boolean':
      return 'boolean';
    case 'number':
      return Number.isInteger(value) ? 'integer' : 'number';
    case 'string':
      return 'text';
    default:
      return 'json';
  }
}

function readNumber(text: string, kind: Kind, trans: TranslationBundle): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) {
    throw new Error(trans.__('Write a number.'));
  }
  if (kind === 'integer' && !Number.isInteger(value)) {
    throw new Error(trans.__('Write a whole number.'));
  }
  return value;
}
