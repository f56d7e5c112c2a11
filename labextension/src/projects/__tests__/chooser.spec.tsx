import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';
import { afterEach, describe, expect, it } from 'vitest';

import type { Project } from '../../api/types';
import type { IHimalia, IProblem } from '../../tokens';
import { Banner } from '../banner';
import { ProjectList } from '../switcher';

const trans = nullTranslator.load('himalia');
const projects = ['flights', 'other', 'third'].map(slug => ({ slug, description: '' }) as Project);

afterEach(cleanup);

Element.prototype.scrollIntoView = () => undefined; // jsdom has no layout

describe('the list of projects', () => {
  it('tells which one Enter would open', () => {
    const told: (string | null)[] = [];
    const onActive = (slug: string | null) => told.push(slug);
    render(
      <ProjectList
        projects={projects}
        current={null}
        trans={trans}
        onActive={onActive}
        onOpen={() => undefined}
      />
    );
    const box = screen.getByRole('combobox');
    fireEvent.keyDown(box, { key: 'ArrowDown' });
    fireEvent.change(box, { target: { value: 'thi' } });
    fireEvent.change(box, { target: { value: 'nothing' } });
    expect(told).toEqual(['flights', 'other', 'third', null]);
  });
});

function banner(change: Partial<IHimalia>): void {
  const himalia = { connection: 'live', problem: null, deleted: null, store: null, ...change };
  Object.assign(himalia, { changed: new Signal<object, void>(himalia) });
  render(
    <Banner
      himalia={himalia as IHimalia}
      store={null}
      commands={new CommandRegistry()}
      trans={trans}
    />
  );
}

describe('the banner', () => {
  it("does not leave it at the server's word Forbidden", () => {
    const problem: IProblem = { message: 'Forbidden', hint: '', status: 403 };
    banner({ connection: 'refused', problem });
    expect(screen.getByRole('alert').querySelector('p')?.textContent).toMatch(/not signed in/);
  });

  it('shows that it is being tried again', () => {
    banner({ connection: 'lost', start: () => new Promise<void>(() => undefined) });
    fireEvent.click(screen.getByRole('button', { name: 'Try again now' }));
    expect(screen.getByRole('button', { name: 'Trying…' }).getAttribute('aria-busy')).toBe('true');
  });
});
