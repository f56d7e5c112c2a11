import { describe, expect, it } from 'vitest';

import { formatMetric, mainMetric, topMetrics } from '../metrics';
import { holder, latestModels, newestFirst } from '../versions';

describe('topMetrics', () => {
  it('puts the most telling first, and no more than asked for', () => {
    const metrics = { f1: 0.4, b_loss: 2, roc_auc: 0.7, accuracy: 0.8, a_loss: 1 };
    expect(topMetrics(metrics).map(metric => metric.name)).toEqual([
      'roc_auc',
      'accuracy',
      'f1',
      'a_loss'
    ]);
  });

  it('knows metrics with something before their name', () => {
    expect(mainMetric({ training_time: 3, july_roc_auc: 0.7, 'val.accuracy': 1 })?.name).toBe(
      'july_roc_auc'
    );
    expect(mainMetric({ july_roc_auc: 0.7, score: 1 })?.name).toBe('score');
    expect(mainMetric({ underscore: 1, aaa: 2 })?.name).toBe('aaa');
  });

  it('has nothing to say without metrics', () => {
    expect(topMetrics(null)).toEqual([]);
    expect(mainMetric({})).toBeNull();
  });
});

describe('formatMetric', () => {
  it.each([
    [0.71234, '0.712'],
    [1204.4, '1,204'],
    [12.345, '12.35'],
    [2.13e-7, '2.13e-7'],
    [0, '0'],
    [NaN, '–'],
    [-Infinity, '−∞']
  ])('%d is %s', (value, text) => {
    expect(formatMetric(value)).toBe(text);
  });
});

describe('versions', () => {
  const version = (number: string, aliases: string[] = [], created_at = 0) => ({
    version: number,
    aliases,
    created_at,
    run_id: null,
    run_name: null,
    metrics: null
  });

  it('are ordered as numbers, not as texts', () => {
    const model = { name: 'm', versions: [version('9'), version('10', ['champion'])] };
    expect(newestFirst(model).map(item => item.version)).toEqual(['10', '9']);
    expect(holder(model, 'champion')?.version).toBe('10');
    expect(holder(model, 'challenger')).toBeNull();
  });

  it('order models by their newest', () => {
    const models = [
      { name: 'old', versions: [version('1', [], 5)] },
      { name: 'empty', versions: [] },
      { name: 'new', versions: [version('1', [], 1), version('2', [], 9)] }
    ];
    expect(latestModels(models).map(model => model.name)).toEqual(['new', 'old', 'empty']);
  });
});
