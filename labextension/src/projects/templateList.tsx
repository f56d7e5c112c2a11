import { addIcon, deleteIcon, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Template } from '../api/types';
import { ActionButton, IconButton, ProblemMessage } from '../components';
import { Field } from './formField';
import type { Library } from './library';
import type { ProjectForm } from './projectForm';
import { templateIcon } from './templateIcons';

interface IListProps {
  form: ProjectForm;
  library: Library;
}

/** The fields for another template: Enter in them adds it. */
export const ADD_CLASS = 'jp-Himalia-addTemplate';

/** The templates to choose from; those of the team can be added, renewed and removed. */
export function TemplateList(props: IListProps): React.ReactElement {
  const { form, library } = props;
  const { trans } = form;
  return (
    <>
      <fieldset className="jp-Himalia-templates">
        <legend>{trans.__('Template')}</legend>
        {form.templates.map(template => (
          <TemplateChoice key={template.name} template={template} {...props} />
        ))}
      </fieldset>
      {library.problem && <ProblemMessage problem={library.problem} trans={trans} />}
      {library.adding ? (
        <AddTemplate {...props} />
      ) : (
        <div>
          <ActionButton
            icon={addIcon}
            label={trans.__('Add a template of the team…')}
            onClick={() => library.show(true)}
          />
        </div>
      )}
      <p role="status" className="jp-Himalia-muted">
        {library.told}
      </p>
    </>
  );
}

function AddTemplate({ form, library }: IListProps): React.ReactElement {
  const { trans } = form;
  const { fault } = library;
  const section = React.useRef<HTMLElement>(null);
  React.useEffect(() => {
    section.current?.querySelector('input')?.focus();
    section.current?.scrollIntoView({ block: 'nearest' });
  }, [fault]);
  const faultOf = (field: string) => (fault?.field === field ? fault.text : null);
  const input = (field: 'source' | 'name') => (
    <input
      type="text"
      className="jp-mod-styled"
      value={library[field]}
      spellCheck={false}
      autoComplete="off"
      onChange={event => library.type({ [field]: event.target.value })}
    />
  );
  return (
    <section
      ref={section}
      className={ADD_CLASS}
      aria-label={trans.__('Add a template of the team')}
    >
      <Field
        label={trans.__('Folder or git repository')}
        fault={faultOf('source')}
        id="jp-Himalia-template-source"
      >
        {input('source')}
      </Field>
      <p className="jp-Himalia-muted">
        {trans.__(
          'It holds a himalia.toml, and maybe a template.toml with title and description. A copy is taken now; “Renew” takes another one.'
        )}
      </p>
      <Field
        label={trans.__('Name (optional)')}
        fault={faultOf('name')}
        id="jp-Himalia-template-name"
      >
        {input('name')}
      </Field>
      <div className="jp-Himalia-itemRequest">
        <ActionButton
          primary
          label={trans.__('Add the template')}
          busy={library.busy}
          onClick={() => void library.add()}
        />
        <ActionButton label={trans.__('Do not add')} onClick={() => library.show(false)} />
      </div>
    </section>
  );
}

function TemplateChoice(props: IListProps & { template: Template }): React.ReactElement {
  const { template, form, library } = props;
  const { trans } = form;
  const disabled = !template.available;
  const Picture = templateIcon(template.name);
  return (
    <div className="jp-Himalia-templateCard">
      <label
        className={`jp-Himalia-template${disabled ? ' jp-mod-disabled' : ''}`}
        title={template.source ? trans.__('Taken from %1', template.source) : undefined}
      >
        <input
          type="radio"
          name="jp-Himalia-template"
          checked={form.draft.template === template.name}
          disabled={disabled}
          onChange={() => form.set({ template: template.name })}
        />
        <Picture.react tag="span" className="jp-Himalia-templatePicture" aria-hidden="true" />
        <span className="jp-Himalia-choiceName">{template.title}</span>
        <span className="jp-Himalia-muted">
          {disabled ? (template.problem ?? '') : template.description}
        </span>
      </label>
      {template.source && library.doubted !== template.name && (
        <div className="jp-Himalia-templateTools">
          <span className="jp-Himalia-muted">{trans.__('of the team')}</span>
          <IconButton
            icon={refreshIcon}
            label={trans.__('Renew %1 from %2', template.title, template.source)}
            onClick={() => void library.renew(template)}
          />
          <IconButton
            icon={deleteIcon}
            label={trans.__('Remove %1', template.title)}
            onClick={() => library.doubt(template.name)}
          />
        </div>
      )}
      {library.doubted === template.name && <Doubt {...props} />}
    </div>
  );
}

/** JupyterLab shows one dialog at a time: the question stands where the buttons were. */
function Doubt({ template, form, library }: IListProps & { template: Template }) {
  const { trans } = form;
  const keep = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => keep.current?.querySelector<HTMLElement>('button:last-child')?.focus(), []);
  return (
    <div className="jp-Himalia-templateDoubt" role="group" aria-label={template.title} ref={keep}>
      <span>{trans.__('Remove it? Projects made from it stay.')}</span>
      <div className="jp-Himalia-itemRequest">
        <ActionButton
          label={trans.__('Remove')}
          busy={library.busy}
          onClick={() => void library.remove(template)}
        />
        <ActionButton label={trans.__('Keep')} onClick={() => library.doubt(null)} />
      </div>
    </div>
  );
}
