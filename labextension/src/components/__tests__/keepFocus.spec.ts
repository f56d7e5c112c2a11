import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { keepFocus } from '../keepFocus';

let panel: HTMLElement;
let release: () => void;

const button = (name: string) => panel.querySelector<HTMLElement>(`#${name}`)!;
const settled = () => new Promise(resolve => setTimeout(resolve, 0));

beforeEach(() => {
  document.body.innerHTML = `
    <button id="outside"></button>
    <div id="panel">
      <button id="first"></button>
      <section><h3><button id="fold"></button></h3><p><button id="cancel"></button><button id="run"></button></p></section>
    </div>`;
  panel = document.getElementById('panel')!;
  release = keepFocus(panel);
});

afterEach(() => release());

describe('the focus', () => {
  it('goes to the next thing when what had it goes', async () => {
    button('cancel').focus();
    button('cancel').remove();
    await settled();
    expect(document.activeElement?.id).toBe('run');
  });

  it('goes to the section when its part goes', async () => {
    button('run').focus();
    panel.querySelector('p')!.remove();
    await settled();
    expect(document.activeElement?.id).toBe('fold');
  });

  it('stays in the panel when nothing is left there that could have it', async () => {
    button('run').focus();
    panel.replaceChildren('Himalia is starting');
    await settled();
    expect(document.activeElement).toBe(panel);
  });

  it('is not taken from elsewhere', async () => {
    button('cancel').focus();
    document.getElementById('outside')!.focus();
    await settled();
    button('cancel').remove();
    await settled();
    expect(document.activeElement?.id).toBe('outside');
  });

  it('is not taken when it was given up before', async () => {
    button('cancel').focus();
    button('cancel').blur();
    await settled();
    button('cancel').remove();
    await settled();
    expect(document.activeElement).toBe(document.body);
  });
});
