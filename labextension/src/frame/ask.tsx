import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { toProblem } from '../api/problem';
import { RequestError } from '../api/request';
import { ProblemMessage } from '../components';
import { IProblem } from '../tokens';

/** What a form gets: the values, how to change them, and the field that was refused. */
export interface IFormProps<T> {
  value: T;
  change: (part: Partial<T>) => void;
  /** The service's word for the faulty field; empty when it named none. */
  faulty: string;
}

/** A dialog with a form. */
export interface IQuestion<T> {
  title: string;
  accept: string;
  initial: T;
  form: React.ComponentType<IFormProps<T>>;
  trans: TranslationBundle;
  /** Why it was tried before in vain. */
  failure?: unknown;
  /** Do what was asked for. When it fails, the dialog comes again with the reason and what was typed. */
  act(value: T): Promise<unknown>;
}

/**
 * Ask, then act; ask again while acting fails.
 *
 * @returns whether it was done
 */
export async function askAndAct<T extends object>(question: IQuestion<T>): Promise<boolean> {
  const { trans } = question;
  let value = question.initial;
  let failure = question.failure === undefined ? null : readFailure(question.failure, trans);
  for (;;) {
    const body: FormBody<T> = new FormBody(question, value, failure);
    const { button } = await showDialog<T>({
      title: question.title,
      body,
      focusNodeSelector: 'input, select',
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.okButton({ label: question.accept })
      ]
    });
    if (!button.accept) {
      return false;
    }
    value = body.value;
    try {
      await question.act(value);
      return true;
    } catch (error) {
      failure = readFailure(error, trans);
    }
  }
}

interface IFailure {
  problem: IProblem;
  /** The service's word for the faulty field; empty when it named none. */
  field: string;
}

function readFailure(error: unknown, trans: TranslationBundle): IFailure {
  const field = error instanceof RequestError ? error.field : '';
  return { problem: toProblem(error, trans), field };
}

class FormBody<T extends object> extends ReactWidget implements Dialog.IBodyWidget<T> {
  constructor(
    private readonly _question: IQuestion<T>,
    public value: T,
    private readonly _failure: IFailure | null
  ) {
    super();
    this.addClass('jp-Himalia-form');
  }

  getValue(): T {
    return this.value;
  }

  protected render(): React.ReactElement {
    const Form = this._question.form;
    return (
      <>
        {this._failure && (
          <ProblemMessage problem={this._failure.problem} trans={this._question.trans} />
        )}
        <Form value={this.value} change={this._change} faulty={this._failure?.field ?? ''} />
      </>
    );
  }

  private readonly _change = (part: Partial<T>) => {
    this.value = { ...this.value, ...part };
    this.update();
  };
}

/** A labelled field of a form, with a hint below. */
export function FormField(props: {
  label: string;
  hint?: string;
  faulty?: boolean;
  children: (id: string, described: string | undefined) => React.ReactNode;
}): React.ReactElement {
  const id = React.useId();
  const hintId = props.hint ? `${id}-hint` : undefined;
  return (
    <div className={`jp-Himalia-formField${props.faulty ? ' jp-mod-faulty' : ''}`}>
      <label htmlFor={id}>{props.label}</label>
      {props.children(id, hintId)}
      {props.hint && (
        <p id={hintId} className="jp-Himalia-muted">
          {props.hint}
        </p>
      )}
    </div>
  );
}
