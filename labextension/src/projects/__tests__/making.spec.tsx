import { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { nullTranslator } from '@jupyterlab/translation';
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { RequestError } from '../../api/request';
import type { Project, Template } from '../../api/types';
import { Later, settle } from '../../service/__tests__/fakes';
import type { IHimalia } from '../../tokens';
import { followInBackground } from '../background';
import { Library } from '../library';
import { ProjectForm } from '../projectForm';
import { TemplateList } from '../templateList';

const trans = nullTranslator.load('himalia');
const OURS = { name: 'blank', title: 'Blank', description: '', available: true, problem: null };
const TEAMS: Template = {
  ...OURS,
  name: 'churn',
  title: 'Churn',
  source: '/t/churn',
  digest: 'sha256:1'
};

function form(templates: Template[] = [OURS, TEAMS]): ProjectForm {
  const nothing = { path: '', git: '', file: null };
  const draft = { name: 'new', template: 'blank', source: 'template' as const, ...nothing };
  return new ProjectForm(draft, [], templates, trans);
}

afterEach(cleanup);

Element.prototype.scrollIntoView = () => undefined; // jsdom has no layout

describe('what is being made', () => {
  it('is told by the service’s step, and before that by what it is made from', () => {
    const made = form();
    made.set({ source: 'git', name: 'cloned' });
    expect(made.doing).toBe('Cloning into cloned…');
    made.advance({ step: 'Receiving objects', percent: 42 });
    expect(made.doing).toBe('cloned: Receiving objects, 42 %');
    made.setBusy(false);
    expect(made.doing).toBe('Cloning into cloned…');
  });

  it('does not ask for the address before it was looked for', () => {
    const made = form();
    made.set({ source: 'git' });
    expect(made.checkName()).toBe(true);
    expect(made.fieldFault).toBeNull();
    expect(made.check()).toBe(false);
    expect(made.fieldFault?.field).toBe('git');
    made.set({ git: '/srv/repository' });
    made.refused(new RequestError(422, 'git could not clone it.', '', 'git'));
    expect(made.check()).toBe(true); // mended there, it is tried again as it stands
  });

  it('is named after a file as the browser saved it the second time', () => {
    const made = form();
    made.set({ source: 'file', file: new File([''], 'flights.himalia (1).zip') });
    expect(made.draft.name).toBe('flights');
  });
});

describe('a project that is made in the background', () => {
  beforeEach(() => Notification.manager.dismiss());

  const told = () => Notification.manager.notifications.map(({ message }) => message).join('\n');
  const app = { commands: { execute: vi.fn(() => Promise.resolve()) } };
  const parts = { app: app as unknown as JupyterFrontEnd, trans };

  it('is told of while it is made, and can be opened then', async () => {
    const later = new Later<Project>();
    const made = form();
    made.set({ source: 'git' });
    made.setBusy(true);
    const followed = followInBackground(parts, made, later.promise, () => undefined);
    made.advance({ step: 'Receiving objects', percent: 42 });
    expect(told()).toContain('42 %');
    Notification.manager.dismiss();
    later.resolve({ slug: 'new' } as Project);
    await followed;
    const [notification] = Notification.manager.notifications;
    expect(notification.message).toContain('new is made');
    notification.options.actions?.[0].callback(new MouseEvent('click'));
    expect(app.commands.execute).toHaveBeenCalledWith('himalia:open-project', { slug: 'new' });
  });

  it('says why it was not made, and asks again with what was entered', async () => {
    const later = new Later<Project>();
    const again = vi.fn();
    const made = form();
    const followed = followInBackground(parts, made, later.promise, again);
    later.reject(new RequestError(422, 'git could not clone the repository.', 'Try it by hand.'));
    await followed;
    expect(told()).toContain('git could not clone the repository. Try it by hand.');
    Notification.manager.notifications[0].options.actions?.[0].callback(new MouseEvent('click'));
    expect(again.mock.calls[0][0]).toEqual(made.draft);
  });
});

describe('templates of the team', () => {
  function shown(answer: (method: string, path: string) => unknown) {
    const asked: string[] = [];
    const request = (method: string, path: string) => {
      asked.push(`${method} ${path}`);
      const given = answer(method, path);
      return given instanceof Error ? Promise.reject(given) : Promise.resolve(given);
    };
    const own = form();
    const library = new Library(own, { request } as unknown as IHimalia);
    const view = render(<TemplateList form={own} library={library} />);
    own.changed.connect(() => view.rerender(<TemplateList form={own} library={library} />));
    return { own, library, asked };
  }

  it('are added, and the new one is chosen', async () => {
    const added = { ...TEAMS, name: 'late', title: 'Late' };
    const { own } = shown(method => (method === 'POST' ? added : { items: [OURS, added] }));
    fireEvent.click(screen.getByRole('button', { name: /Add a template/ }));
    fireEvent.change(screen.getByLabelText('Folder or git repository'), {
      target: { value: ' /t/late ' }
    });
    fireEvent.click(screen.getByRole('button', { name: 'Add the template' }));
    await settle();
    expect(own.draft.template).toBe('late');
    expect(screen.getByText('Late is a template of the team now.')).toBeTruthy();
    expect(screen.queryByLabelText('Folder or git repository')).toBeNull();
  });

  it('that are refused say why at the field, and what was typed stays', async () => {
    const error = new RequestError(422, 'There is no folder /nope.', 'Name a folder.', 'source');
    const { library } = shown(() => error);
    fireEvent.click(screen.getByRole('button', { name: /Add a template/ }));
    library.type({ source: '/nope' });
    await library.add();
    const field = screen.getByLabelText('Folder or git repository');
    expect(field.getAttribute('aria-invalid')).toBe('true');
    expect((field as HTMLInputElement).value).toBe('/nope');
    expect(screen.getByRole('alert').textContent).toContain('Name a folder.');
  });

  it('are removed after a question, ours never', async () => {
    const { own, asked } = shown(method => (method === 'DELETE' ? undefined : { items: [OURS] }));
    own.set({ template: 'churn' });
    expect(screen.queryByRole('button', { name: 'Remove Blank' })).toBeNull();
    fireEvent.click(screen.getByRole('button', { name: 'Remove Churn' }));
    expect(asked).toEqual([]);
    fireEvent.click(screen.getByRole('button', { name: 'Remove' }));
    await settle();
    expect(asked).toEqual(['DELETE templates/churn', 'GET templates']);
    expect(own.draft.template).toBe('blank');
  });
});
