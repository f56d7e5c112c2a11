import { TranslationBundle } from '@jupyterlab/translation';

import { FieldValues, IField, part } from './fields';

/** A document as MLflow's /invocations takes it. */
export type Invocation = Readonly<Record<string, unknown>>;

/** The document, or what is wrong, by field. */
export type Built = { document: Invocation } | { faults: Readonly<Record<string, string>> };

const FORMATS = ['dataframe_split', 'dataframe_records', 'instances', 'inputs'];
const INT32 = { low: -(2 ** 31), high: 2 ** 31 - 1 };

/** Make the document that asks for one prediction from what stands in the form. */
export function buildDocument(
  fields: readonly IField[],
  values: FieldValues,
  trans: TranslationBundle
): Built {
  const faults: Record<string, string> = {};
  const columns: string[] = [];
  const row: unknown[] = [];
  for (const field of fields) {
    const read = readValue(field, values[field.name] ?? '', trans);
    if ('fault' in read) {
      faults[field.name] = read.fault;
    } else if (read.value !== undefined) {
      columns.push(field.name);
      row.push(read.value);
    }
  }
  return Object.keys(faults).length > 0
    ? { faults }
    : { document: { dataframe_split: { columns, data: [row] } } };
}

/** A field's value for JSON; undefined: the column is left out. */
function readValue(
  field: IField,
  typed: string | boolean,
  trans: TranslationBundle
): { value: unknown } | { fault: string } {
  if (field.kind === 'boolean') {
    return { value: typed === true };
  }
  const text = String(typed);
  if (field.kind === 'text') {
    // an empty text is a text, unless it may be missing
    return { value: text === '' && !field.required ? null : text };
  }
  if (text.trim() === '') {
    return emptyValue(field, trans);
  }
  if (field.kind === 'datetime') {
    return readTime(text.trim(), trans);
  }
  return field.kind === 'integer'
    ? readWhole(text.trim(), field.type, trans)
    : readNumber(text.trim(), trans);
}

function emptyValue(
  field: IField,
  trans: TranslationBundle
): { value: unknown } | { fault: string } {
  if (field.required) {
    return { fault: trans.__('A value is needed.') };
  }
  // whole numbers have no "missing" in the model's table: the column stays away
  return { value: field.kind === 'integer' ? undefined : null };
}

function readNumber(text: string, trans: TranslationBundle): { value: number } | { fault: string } {
  if (/^[+-]?\d+,\d+$/.test(text)) {
    return { fault: trans.__('Write it with a point: %1', text.replace(',', '.')) };
  }
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    return { fault: trans.__('Not a number.') };
  }
  const value = Number(text);
  return Number.isFinite(value) ? { value } : { fault: trans.__('Too large for a number.') };
}

function readWhole(
  text: string,
  type: string,
  trans: TranslationBundle
): { value: number } | { fault: string } {
  const read = readNumber(text, trans);
  if ('fault' in read) {
    return read;
  }
  if (!Number.isInteger(read.value)) {
    return { fault: trans.__('A whole number is needed.') };
  }
  const small = type === 'integer' && (read.value < INT32.low || read.value > INT32.high);
  return small || !Number.isSafeInteger(read.value)
    ? { fault: trans.__('Too large for this column.') }
    : read;
}

function readTime(text: string, trans: TranslationBundle): { value: string } | { fault: string } {
  const right = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?$/.test(text);
  return right && !Number.isNaN(Date.parse(text.replace(' ', 'T').slice(0, 23)))
    ? { value: text.replace(' ', 'T') }
    : { fault: trans.__('A date and time is needed, such as 2026-03-29T14:30') };
}

/** Read a document that was typed as JSON. */
export function parseDocument(
  text: string,
  trans: TranslationBundle
): { document: Invocation } | { fault: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { fault: trans.__('This is not JSON: %1', why) };
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const found = isObject ? FORMATS.filter(name => part(value, name) !== undefined) : [];
  if (found.length !== 1) {
    return { fault: trans.__('An object with exactly one of %1 is needed.', FORMATS.join(', ')) };
  }
  return { document: value as Invocation };
}

/** A document to begin with, for a model that a form cannot ask. */
export function sampleDocument(signature: unknown, example: unknown): Invocation {
  if (typeof example === 'object' && example !== null && !Array.isArray(example)) {
    return { dataframe_records: [example] };
  }
  const inputs = part(signature, 'inputs');
  if (!Array.isArray(inputs) || inputs.length === 0) {
    return { inputs: [] };
  }
  const named = inputs.every(input => typeof part(input, 'name') === 'string');
  if (!named) {
    return { inputs: zeros(inputs[0]) };
  }
  return { inputs: Object.fromEntries(inputs.map(input => [part(input, 'name'), zeros(input)])) };
}

/** Zeros in the shape of a tensor; open dimensions are 1 long. */
function zeros(input: unknown): unknown {
  const spec = part(input, 'tensor-spec');
  const shape = part(spec, 'shape');
  const empty = part(spec, 'dtype') === 'str' ? '' : 0;
  const lengths = (Array.isArray(shape) ? shape : [1]).map(length =>
    // a shape such as 224 × 224 × 3 would fill the page; the user replaces it anyway
    typeof length === 'number' && length > 0 ? Math.min(length, 8) : 1
  );
  return lengths.reduceRight<unknown>(
    (inner, length) => Array.from({ length }, () => inner),
    empty
  );
}

/** The field that a message of the gateway is about; null when it names none. */
export function faultyField(message: string, fields: readonly IField[]): string | null {
  const named = /column '((?:[^'\\]|\\.)*)'/i.exec(message)?.[1];
  return fields.find(field => field.name === named)?.name ?? null;
}
