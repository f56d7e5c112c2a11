import { describe, expect, it } from 'vitest';

import { showPrediction } from '../prediction';
import { curlSnippet, pythonSnippet } from '../snippets';

const floats = { outputs: [{ type: 'tensor', 'tensor-spec': { dtype: 'float64', shape: [-1] } }] };
const wholes = { outputs: [{ type: 'long' }] };

describe('showPrediction', () => {
  it.each([
    ['a probability', [0.31], floats, { kind: 'share', value: 0.31 }],
    ['a certain probability', [1], floats, { kind: 'share', value: 1 }],
    ['a class of whole numbers', [1], wholes, { kind: 'number', value: 1 }],
    ['a number', [12.5], floats, { kind: 'number', value: 12.5 }],
    ['a fraction of unknown kind', [0.5], null, { kind: 'share', value: 0.5 }],
    ['a class', ['late'], null, { kind: 'class', text: 'late' }],
    ['a truth', [false], null, { kind: 'class', text: 'false' }],
    ['nothing', [null], null, { kind: 'json', text: '[\n  null\n]' }]
  ])('shows %s', (_, predictions, signature, shown) => {
    expect(showPrediction(predictions, signature)).toEqual(shown);
  });

  it('shows the probabilities of classes', () => {
    expect(showPrediction([[0.25, 0.75]], floats)).toEqual({
      kind: 'shares',
      items: [
        { label: '0', value: 0.25 },
        { label: '1', value: 0.75 }
      ]
    });
    expect(showPrediction([{ late: 0.25, early: 0.75 }], null)).toMatchObject({ kind: 'shares' });
  });

  it('shows lists and records as tables', () => {
    expect(showPrediction([1, 2.5], null)).toEqual({
      kind: 'table',
      columns: ['', '0'],
      rows: [
        ['0', '1'],
        ['1', '2.5']
      ]
    });
    expect(showPrediction([{ a: 1 }, { b: 'x' }], null)).toEqual({
      kind: 'table',
      columns: ['a', 'b'],
      rows: [
        ['1', 'null'],
        ['null', 'x']
      ]
    });
    expect(showPrediction([{ a: 1, b: [2] }], null)).toMatchObject({ kind: 'table' });
  });
});

describe('snippets', () => {
  const document = { dataframe_split: { columns: ['a', "o'k"], data: [[1, null]], x: true } };

  it('keeps quotes whole in a shell', () => {
    const text = curlSnippet('http://127.0.0.1:1/endpoints/a/invocations', document);
    expect(text).toContain(`"o'\\''k"`);
    expect(text).toContain('"Authorization: Bearer $TOKEN"');
  });

  it('writes literals as Python does', () => {
    const text = pythonSnippet('http://127.0.0.1:1/x', document);
    expect(text).toContain('"columns": ["a", "o\'k"],');
    expect(text).toContain('"data": [[1, None]],');
    expect(text).toContain('"x": True,');
    expect(text).not.toMatch(/\bnull\b|\btrue\b/);
  });
});
