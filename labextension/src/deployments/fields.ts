/** How a value is asked for. */
export type FieldKind = 'number' | 'integer' | 'boolean' | 'text' | 'datetime';

/** One column of a model's signature, as a field of a form. */
export interface IField {
  name: string;
  kind: FieldKind;
  /** The signature's own word: double, long, string, … */
  type: string;
  required: boolean;
}

/** What stands in the form, as the user typed it. */
export type FieldValues = Readonly<Record<string, string | boolean>>;

const KINDS: Readonly<Record<string, FieldKind>> = {
  double: 'number',
  float: 'number',
  long: 'integer',
  integer: 'integer',
  boolean: 'boolean',
  string: 'text',
  datetime: 'datetime'
};

/**
 * The fields for a signature.
 *
 * @returns null when a form cannot ask for it: no signature, a tensor, nested or unnamed columns
 */
export function formFields(signature: unknown): IField[] | null {
  const inputs = part(signature, 'inputs');
  if (!Array.isArray(inputs) || inputs.length === 0) {
    return null;
  }
  const fields = inputs.map(fieldOf);
  const known = fields.filter((field): field is IField => field !== null);
  const names = new Set(known.map(field => field.name));
  return known.length === inputs.length && names.size === known.length ? known : null;
}

function fieldOf(column: unknown): IField | null {
  const name = part(column, 'name');
  const type = part(column, 'type');
  if (typeof name !== 'string' || typeof type !== 'string' || !Object.hasOwn(KINDS, type)) {
    return null;
  }
  return { name, kind: KINDS[type], type, required: part(column, 'required') !== false };
}

/** The values that the form starts with: the example's, empty where it has none. */
export function initialValues(fields: readonly IField[], example: unknown): FieldValues {
  const values: Record<string, string | boolean> = {};
  for (const field of fields) {
    const value = part(example, field.name);
    values[field.name] = field.kind === 'boolean' ? value === true || value === 1 : shown(value);
  }
  return values;
}

/** A value as one would type it: without the noise of binary fractions, times without a zone. */
function shown(value: unknown): string {
  if (typeof value === 'number') {
    return Number.isFinite(value) ? String(Number(value.toPrecision(10))) : '';
  }
  if (typeof value === 'string') {
    const time = /^(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(\.\d+)?(?:Z|[+-]00:?00)?$/.exec(value);
    return time ? time[1] + (Number(time[2] ?? 0) > 0 ? time[2] : '') : value;
  }
  return value === null || value === undefined ? '' : JSON.stringify(value);
}

/** A property of something that may be an object. */
export function part(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}
