import { Dialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Project } from '../api/types';
import { ProjectList } from './switcher';

/** The list of projects in a dialog: type to filter, Enter or a click opens. */
class ProjectChooser extends ReactWidget implements Dialog.IBodyWidget<string | null> {
  constructor(
    private readonly _projects: readonly Project[],
    private readonly _current: string | null,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-Himalia-chooser');
  }

  /** Called when a project is clicked. */
  onOpen: () => void = () => undefined;

  getValue(): string | null {
    return this._value;
  }

  protected render(): React.ReactElement {
    return (
      <>
        <ProjectList
          projects={this._projects}
          current={this._current}
          trans={this._trans}
          onActive={slug => (this._value = slug)}
          onOpen={slug => {
            this._value = slug;
            this.onOpen();
          }}
        />
        <p className="jp-Himalia-muted jp-Himalia-keys">
          {this._trans.__('↑ ↓ to move · Enter to open · Esc to stay')}
        </p>
      </>
    );
  }

  private _value: string | null = null;
}

/** Ask for one of the projects; null when the user gave up, or none matched. */
export async function chooseProject(
  projects: readonly Project[],
  current: string | null,
  trans: TranslationBundle
): Promise<string | null> {
  const body = new ProjectChooser(projects, current, trans);
  const dialog = new Dialog<string | null>({
    title: trans.__('Go to a project'),
    body,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Open') })
    ],
    focusNodeSelector: 'input'
  });
  dialog.addClass('jp-Himalia-dialog');
  dialog.addClass('jp-Himalia-quick');
  body.onOpen = () => dialog.resolve(1);
  const { button, value } = await dialog.launch();
  return button.accept ? value : null;
}
