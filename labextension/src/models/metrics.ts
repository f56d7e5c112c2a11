/** Metrics that say the most about a model, the most telling first. */
const PREFERRED = ['roc_auc', 'auc', 'accuracy', 'f1', 'r2', 'rmse', 'mae', 'score'];

/** What parts the words of a name: `val_roc_auc`, `test.accuracy`. */
const SEPARATOR = /[_./ -]+/;

/** A metric's name and value. */
export interface IMetric {
  name: string;
  value: number;
}

/**
 * The metrics to show, the main one first.
 *
 * A name that is a preferred one comes before a name that ends with it (`test_roc_auc`), and that before
 * all others, which keep the alphabet's order.
 */
export function topMetrics(
  metrics: Readonly<Record<string, number>> | null | undefined,
  limit = 4
): IMetric[] {
  return Object.entries(metrics ?? {})
    .map(([name, value]) => ({ name, value, rank: rankOf(name) }))
    .sort((a, b) => a.rank - b.rank || (a.name < b.name ? -1 : 1))
    .slice(0, limit)
    .map(({ name, value }) => ({ name, value }));
}

/** The metric to show when there is room for one; null when there is none. */
export function mainMetric(
  metrics: Readonly<Record<string, number>> | null | undefined
): IMetric | null {
  return topMetrics(metrics, 1)[0] ?? null;
}

/** A value with three significant digits, without noise: 0.712, 1,204, 2.1e-7. */
export function formatMetric(value: number): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? '–' : value > 0 ? '∞' : '−∞';
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e9)) {
    return value.toExponential(2);
  }
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
  return value.toLocaleString('en', { maximumFractionDigits: digits });
}

function rankOf(name: string): number {
  const lower = name.toLowerCase();
  const exact = PREFERRED.indexOf(lower);
  if (exact >= 0) {
    return exact;
  }
  const parts = lower.split(SEPARATOR);
  const ending = PREFERRED.findIndex(
    wanted => parts.slice(-wanted.split('_').length).join('_') === wanted
  );
  return ending >= 0 ? PREFERRED.length + ending : 2 * PREFERRED.length;
}
