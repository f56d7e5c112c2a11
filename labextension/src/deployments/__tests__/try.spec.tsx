import { nullTranslator } from '@jupyterlab/translation';
import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/react';
import * as React from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { RequestError } from '../../api/request';
import { EndpointExample, Prediction } from '../../api/types';
import { formFields } from '../fields';
import { Invocation } from '../invocation';
import { TryForm } from '../tryForm';
import { TryJson } from '../tryJson';

const trans = nullTranslator.load('himalia');
const signature = {
  inputs: [
    { type: 'string', name: 'carrier', required: true },
    { type: 'long', name: 'hour', required: true },
    { type: 'boolean', name: 'holiday', required: true }
  ],
  outputs: [{ type: 'tensor', 'tensor-spec': { dtype: 'float64', shape: [-1] } }]
};
const example: EndpointExample = {
  name: 'delay',
  revision: 'r',
  model: null,
  signature,
  example: { carrier: 'UA', hour: 5, holiday: false }
};
const answer: Prediction = { predictions: [0.25], milliseconds: 3.14 };

afterEach(cleanup);

function showForm(predict: (document: Invocation) => Promise<Prediction>, refused?: string) {
  const onDocument = vi.fn();
  render(
    <TryForm
      fields={formFields(signature)!}
      example={example}
      predict={predict}
      onDocument={onDocument}
      disabledReason={refused}
      trans={trans}
    />
  );
  return onDocument;
}

const field = (name: string) => screen.getByLabelText<HTMLInputElement>(name);
const press = (name: string) => fireEvent.click(screen.getByRole('button', { name }));
const type = (name: string, value: string) => fireEvent.change(field(name), { target: { value } });

describe('TryForm', () => {
  it('asks with what stands in the form, and shows the answer', async () => {
    const predict = vi.fn().mockResolvedValue(answer);
    const onDocument = showForm(predict);
    type('hour', '7');
    fireEvent.click(field('holiday'));
    press('Predict');
    await screen.findByText('25.0 %');
    const document = {
      dataframe_split: { columns: ['carrier', 'hour', 'holiday'], data: [['UA', 7, true]] }
    };
    expect(predict).toHaveBeenCalledExactlyOnceWith(document);
    expect(onDocument).toHaveBeenLastCalledWith(document);
    screen.getByText('answered in 3.1 ms');
  });

  it('says when the answer is not to what stands there now', async () => {
    showForm(() => Promise.resolve(answer));
    press('Predict');
    await screen.findByText('25.0 %');
    type('hour', '8');
    screen.getByText(/before your changes/);
    type('hour', '5');
    expect(screen.queryByText(/before your changes/)).toBeNull();
  });

  it('does not ask with wrong values: it names the first field, and goes there', () => {
    const predict = vi.fn();
    showForm(predict);
    type('hour', 'five');
    press('Predict');
    expect(predict).not.toHaveBeenCalled();
    expect(field('hour').getAttribute('aria-invalid')).toBe('true');
    expect(document.activeElement).toBe(field('hour'));
    expect(screen.getByRole('alert').textContent).toBe('1 field needs a look.');
    type('hour', '5');
    expect(field('hour').getAttribute('aria-invalid')).toBeNull();
  });

  it('keeps what was typed when the service refuses, and shows its words', async () => {
    const message = "Failed to convert column 'hour' to type long: row 0 holds 99.";
    showForm(() => Promise.reject(new RequestError(422, message, 'Send less.')));
    type('carrier', 'XY');
    press('Predict');
    await screen.findByText('Send less.');
    expect(field('carrier').value).toBe('XY');
    await waitFor(() => expect(field('hour').getAttribute('aria-invalid')).toBe('true'));
  });

  it('goes back to the example', () => {
    showForm(vi.fn());
    type('carrier', 'XY');
    press('Back to the example');
    expect(field('carrier').value).toBe('UA');
  });

  it('does not ask for those who may not', () => {
    const predict = vi.fn();
    showForm(predict, 'You are viewer.');
    const button = screen.getByRole('button', { name: 'Predict' });
    expect(button.title).toBe('You are viewer.');
    fireEvent.click(button);
    expect(predict).not.toHaveBeenCalled();
  });
});

describe('TryJson', () => {
  const tensor: EndpointExample = {
    ...example,
    signature: {
      inputs: [{ type: 'tensor', 'tensor-spec': { dtype: 'float64', shape: [-1, 2] } }]
    },
    example: null
  };

  it('begins with a document of the right shape, and checks what is typed', async () => {
    const predict = vi.fn().mockResolvedValue({ predictions: [[0.25, 0.75]], milliseconds: 1 });
    render(<TryJson example={tensor} predict={predict} onDocument={vi.fn()} trans={trans} />);
    press('Predict');
    await screen.findByText('75.0 %');
    expect(predict).toHaveBeenCalledExactlyOnceWith({ inputs: [[0, 0]] });
    type('Request', '{"inputs": [1,');
    press('Predict');
    screen.getByText(/not JSON/);
    expect(predict).toHaveBeenCalledTimes(1);
    expect(field('Request').value).toBe('{"inputs": [1,');
  });
});
