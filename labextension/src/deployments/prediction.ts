import { part } from './fields';

/** A prediction, as it is shown. */
export type Shown =
  | { kind: 'share'; value: number }
  | { kind: 'shares'; items: readonly { label: string; value: number }[] }
  | { kind: 'number'; value: number }
  | { kind: 'class'; text: string }
  | { kind: 'table'; columns: readonly string[]; rows: readonly (readonly string[])[] }
  | { kind: 'json'; text: string };

/** Rows that a table shows at most. */
const MOST_ROWS = 200;

/**
 * How to show what an endpoint answered.
 *
 * @param predictions - MLflow's `predictions`
 * @param signature - the model's signature; its outputs tell whole numbers (classes) from fractions
 */
export function showPrediction(predictions: unknown, signature: unknown): Shown {
  const single = Array.isArray(predictions) && predictions.length === 1;
  const value: unknown = single ? (predictions as unknown[])[0] : predictions;
  if (typeof value === 'number') {
    return isShare(value, signature) ? { kind: 'share', value } : { kind: 'number', value };
  }
  if (typeof value === 'string' || typeof value === 'boolean') {
    return { kind: 'class', text: String(value) };
  }
  if (Array.isArray(value)) {
    return ofList(value);
  }
  if (typeof value === 'object' && value !== null) {
    return ofObject(value as Record<string, unknown>);
  }
  return { kind: 'json', text: JSON.stringify(predictions, null, 2) };
}

function ofList(values: readonly unknown[]): Shown {
  if (isDistribution(values)) {
    return { kind: 'shares', items: values.map((value, index) => ({ label: `${index}`, value })) };
  }
  const records = values.every(
    value => typeof value === 'object' && value !== null && !Array.isArray(value)
  );
  if (records && values.length > 0) {
    const columns = [...new Set(values.flatMap(value => Object.keys(value as object)))];
    const rows = values.map(value => columns.map(name => cellText(part(value, name))));
    return { kind: 'table', columns, rows: rows.slice(0, MOST_ROWS) };
  }
  const width = Math.max(1, ...values.map(value => (Array.isArray(value) ? value.length : 1)));
  const rows = values.map((value, index) => [
    `${index}`,
    ...(Array.isArray(value) ? value.map(cellText) : [cellText(value)])
  ]);
  const columns = ['', ...Array.from({ length: width }, (_, index) => `${index}`)];
  return { kind: 'table', columns, rows: rows.slice(0, MOST_ROWS) };
}

function ofObject(value: Record<string, unknown>): Shown {
  const entries = Object.entries(value);
  if (isDistribution(entries.map(([, item]) => item))) {
    const items = entries.map(([label, item]) => ({ label, value: item as number }));
    return { kind: 'shares', items };
  }
  return { kind: 'table', columns: ['', ''], rows: entries.map(([k, v]) => [k, cellText(v)]) };
}

/** Whether numbers look like the probabilities of classes. */
function isDistribution(values: readonly unknown[]): values is readonly number[] {
  if (values.length < 2 || !values.every(value => typeof value === 'number' && value >= 0)) {
    return false;
  }
  return Math.abs((values as number[]).reduce((sum, value) => sum + value, 0) - 1) < 1e-3;
}

/** Whether a number looks like a probability: a fraction from 0 to 1, not a class. */
function isShare(value: number, signature: unknown): boolean {
  if (value < 0 || value > 1) {
    return false;
  }
  const outputs = part(signature, 'outputs');
  const output: unknown = Array.isArray(outputs) ? outputs[0] : undefined;
  const type = part(part(output, 'tensor-spec'), 'dtype') ?? part(output, 'type');
  return typeof type === 'string' ? /^(double|float)/.test(type) : !Number.isInteger(value);
}

function cellText(value: unknown): string {
  if (typeof value === 'number') {
    return String(Number(value.toPrecision(6)));
  }
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
