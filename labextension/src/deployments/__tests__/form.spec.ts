import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import { formFields, initialValues } from '../fields';
import { buildDocument, faultyField, parseDocument, sampleDocument } from '../invocation';

const trans = nullTranslator.load('himalia');

const signature = {
  inputs: [
    { type: 'string', name: 'carrier', required: true },
    { type: 'long', name: 'hour', required: true },
    { type: 'double', name: 'distance', required: false },
    { type: 'boolean', name: 'holiday', required: true },
    { type: 'datetime', name: 'at', required: true },
    { type: 'integer', name: 'seats', required: false }
  ],
  outputs: [{ type: 'tensor', 'tensor-spec': { dtype: 'float64', shape: [-1] } }],
  params: null
};
const example = {
  carrier: 'UA',
  hour: 5,
  distance: 14.960139999999999,
  holiday: true,
  at: '2013-07-01T05:29:00.000Z',
  seats: null
};

describe('formFields', () => {
  it('makes one field a column, typed by the signature', () => {
    const fields = formFields(signature)!;
    expect(fields.map(field => field.kind)).toEqual([
      'text',
      'integer',
      'number',
      'boolean',
      'datetime',
      'integer'
    ]);
    expect(fields.filter(field => !field.required).map(field => field.name)).toEqual([
      'distance',
      'seats'
    ]);
  });

  it.each([
    ['no signature', null],
    [
      'a tensor',
      { inputs: [{ type: 'tensor', 'tensor-spec': { dtype: 'float64', shape: [-1, 4] } }] }
    ],
    ['columns without names', { inputs: [{ type: 'double', required: true }] }],
    ['nested columns', { inputs: [{ type: 'array', name: 'a', items: { type: 'long' } }] }],
    [
      'a name that is there twice',
      {
        inputs: [
          { type: 'long', name: 'a' },
          { type: 'long', name: 'a' }
        ]
      }
    ],
    ['a type with the name of a property', { inputs: [{ type: 'constructor', name: 'a' }] }]
  ])('leaves %s to the JSON editor', (_, value) => {
    expect(formFields(value)).toBeNull();
  });
});

describe('initialValues', () => {
  it('shows the example without noise', () => {
    expect(initialValues(formFields(signature)!, example)).toEqual({
      carrier: 'UA',
      hour: '5',
      distance: '14.96014',
      holiday: true,
      at: '2013-07-01T05:29:00',
      seats: ''
    });
  });

  it('is empty without an example', () => {
    const values = initialValues(formFields(signature)!, null);
    expect(values).toMatchObject({ carrier: '', hour: '', holiday: false });
  });
});

describe('buildDocument', () => {
  const fields = formFields(signature)!;
  const values = initialValues(fields, example);

  it('gives back what the example was', () => {
    expect(buildDocument(fields, values, trans)).toEqual({
      document: {
        dataframe_split: {
          columns: ['carrier', 'hour', 'distance', 'holiday', 'at'],
          data: [['UA', 5, 14.96014, true, '2013-07-01T05:29:00']]
        }
      }
    });
  });

  it('sends an optional number that is empty as missing', () => {
    const built = buildDocument(fields, { ...values, distance: ' ' }, trans);
    expect(built).toMatchObject({
      document: { dataframe_split: { data: [['UA', 5, null, true, '2013-07-01T05:29:00']] } }
    });
  });

  it.each([
    ['hour', '', /needed/],
    ['hour', '5.5', /whole/],
    ['hour', '9007199254740993', /large/],
    ['seats', '2147483648', /large/],
    ['distance', '1,5', /1\.5/],
    ['distance', '0x10', /number/],
    ['distance', '1e999', /large/],
    ['at', 'yesterday', /date/],
    ['at', '2013-13-45T00:00', /date/]
  ])('names the field %s when it holds %j', (name, typed, message) => {
    const built = buildDocument(fields, { ...values, [name]: typed }, trans);
    expect(built).toHaveProperty('faults');
    const faults = (built as { faults: Record<string, string> }).faults;
    expect(Object.keys(faults)).toEqual([name]);
    expect(faults[name]).toMatch(message);
  });

  it('accepts numbers as people write them', () => {
    const built = buildDocument(fields, { ...values, distance: ' -1.5e2 ', hour: '+7' }, trans);
    expect(built).toMatchObject({
      document: { dataframe_split: { data: [['UA', 7, -150, true, '2013-07-01T05:29:00']] } }
    });
  });
});

describe('parseDocument', () => {
  it('takes exactly one format', () => {
    expect(parseDocument('{"inputs": [[1]]}', trans)).toEqual({ document: { inputs: [[1]] } });
    expect(parseDocument('{"inputs": [], "instances": []}', trans)).toHaveProperty('fault');
    expect(parseDocument('[1]', trans)).toHaveProperty('fault');
    expect(parseDocument('null', trans)).toHaveProperty('fault');
  });

  it('says why something is not JSON', () => {
    const parsed = parseDocument('{"inputs": ', trans);
    expect('fault' in parsed && parsed.fault).toMatch(/not JSON: .+/);
  });
});

describe('sampleDocument', () => {
  const tensor = (shape: number[], name?: string) => ({
    type: 'tensor',
    'tensor-spec': { dtype: 'float64', shape },
    ...(name && { name })
  });

  it('has the shape of a tensor', () => {
    expect(sampleDocument({ inputs: [tensor([-1, 2])] }, null)).toEqual({ inputs: [[0, 0]] });
    expect(sampleDocument({ inputs: [tensor([-1], 'a'), tensor([2], 'b')] }, null)).toEqual({
      inputs: { a: [0], b: [0, 0] }
    });
  });

  it('is the example where there is one', () => {
    expect(sampleDocument(null, { a: [1] })).toEqual({ dataframe_records: [{ a: [1] }] });
  });

  it('can always be sent', () => {
    for (const sample of [sampleDocument(null, null), sampleDocument({ inputs: [] }, 3)]) {
      expect(parseDocument(JSON.stringify(sample), trans)).toEqual({ document: sample });
    }
  });
});

describe('faultyField', () => {
  const fields = formFields(signature)!;

  it('finds the column that the gateway names', () => {
    const text = 'Failed to convert column \'hour\' to type long: row 0 holds "x".';
    expect(faultyField(text, fields)).toBe('hour');
    expect(faultyField('The model is missing the columns.', fields)).toBeNull();
    expect(faultyField("column 'other'", fields)).toBeNull();
  });
});
