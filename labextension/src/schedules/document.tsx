import { MainAreaWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { at } from '../api/request';
import { refusedBy } from '../api/roles';
import type { Schedule, ScheduleSlot } from '../api/types';
import { CommandIDs } from '../commands';
import {
  ActionButton,
  Ago,
  EmptyState,
  formatDuration,
  KeptWidget,
  PartBody,
  shortId,
  StateDot,
  useAnswer
} from '../components';
import { StoreGate } from '../frame/gate';
import type { IHimalia, IProjectStore } from '../tokens';
import { scheduleIcon } from './icons';
import { scheduleState, schedulesOf } from './question';
import { Times, wallTime } from './times';

/** Which schedule, and what the document stands on. */
export interface IScheduleDocumentProps {
  himalia: IHimalia;
  commands: CommandRegistry;
  trans: TranslationBundle;
  slug: string;
  name: string;
}

/** A tab with a schedule: what it runs, when next, and what became of its times. */
export function makeScheduleDocument(props: IScheduleDocumentProps): MainAreaWidget {
  const { commands, himalia, trans, slug, name } = props;
  const content = new KeptWidget(
    <StoreGate himalia={himalia} commands={commands} trans={trans} slug={slug}>
      {store => <ScheduleDocument {...props} store={store} />}
    </StoreGate>
  );
  content.addClass('jp-Himalia-runDocument');
  const widget = new MainAreaWidget({ content });
  widget.title.label = trans.__('Schedule %1', name);
  widget.title.caption = trans.__('The schedule %1 of the project %2', name, slug);
  widget.title.icon = scheduleIcon;
  widget.title.closable = true;
  return widget;
}

type IBodyProps = IScheduleDocumentProps & { store: IProjectStore };

function ScheduleDocument(props: IBodyProps): React.ReactElement {
  const { store, trans, name } = props;
  return (
    <article className="jp-Himalia-run">
      <PartBody part={schedulesOf(store)} trans={trans}>
        {schedules => {
          const schedule = schedules.find(other => other.name === name);
          return schedule ? (
            <Details {...props} schedule={schedule} />
          ) : (
            <EmptyState text={trans.__('There is no schedule %1 (any more).', name)} />
          );
        }}
      </PartBody>
    </article>
  );
}

function Details(props: IBodyProps & { schedule: Schedule }): React.ReactElement {
  const { store, commands, trans, schedule } = props;
  const { name, paused, pinned, target, next } = schedule;
  const state = scheduleState(schedule);
  const mayOperate = refusedBy(store.project.role, 'schedule.operate', trans);
  const mayWrite = refusedBy(store.project.role, 'schedule.write', trans);
  const button = (act: string, label: string, refused: string | undefined, title?: string) => (
    <ActionButton
      label={label}
      title={title}
      disabledReason={refused}
      onClick={() => void commands.execute(CommandIDs.operateSchedule, { name, act })}
    />
  );
  return (
    <>
      <header className="jp-Himalia-panelHead">
        <h1>{trans.__('Schedule %1', name)}</h1>
        <StateDot
          state={state}
          label={state === 'ready' ? trans.__('waits for its time') : undefined}
          trans={trans}
        />
        <span className="jp-Himalia-fill" />
        {button('run', trans.__('Run now'), mayOperate, trans.__('Once, beside its times'))}
        {paused
          ? button('resume', trans.__('Resume'), mayOperate)
          : button('pause', trans.__('Pause'), mayOperate)}
        <ActionButton
          label={trans.__('Edit…')}
          disabledReason={mayWrite}
          onClick={() => void commands.execute(CommandIDs.schedule, { schedule: name })}
        />
        {button('update-code', trans.__('Update to current code'), mayWrite)}
        {button('delete', trans.__('Delete…'), mayWrite)}
      </header>
      {schedule.trouble && <p className="jp-Himalia-itemError">{schedule.trouble}</p>}
      <dl className="jp-Himalia-facts">
        <dt>{trans.__('Runs')}</dt>
        <dd>
          {target.kind === 'notebook' ? <code>{target.notebook}</code> : trans.__('the pipeline')}
          {Object.keys(target.params).length > 0 && <code> {JSON.stringify(target.params)}</code>}
        </dd>
        <dt>{trans.__('When')}</dt>
        <dd>
          {schedule.description} <code>{schedule.cron}</code> {schedule.zone}
        </dd>
        <dt>{trans.__('Code')}</dt>
        <dd>
          {pinned.commit ? (
            <code title={pinned.commit}>{pinned.commit.slice(0, 10)}</code>
          ) : (
            <code title={pinned.snapshot}>
              {pinned.snapshot.replace(/^sha256:/, '').slice(0, 10)}
            </code>
          )}{' '}
          {pinned.dirty && trans.__('with changes')}
        </dd>
        <dt>{trans.__('Missed times')}</dt>
        <dd>{schedule.catch_up}</dd>
        <dt>{trans.__('Overlap')}</dt>
        <dd>{schedule.overlap}</dd>
        {schedule.deadline !== null && (
          <>
            <dt>{trans.__('Latest start')}</dt>
            <dd>{trans.__('%1 after its time', formatDuration(schedule.deadline, trans))}</dd>
          </>
        )}
        <dt>{trans.__('In the name of')}</dt>
        <dd>{schedule.created_by}</dd>
      </dl>
      {next.length > 0 && (
        <>
          <h2>{trans.__('Next times')}</h2>
          <Times times={next} zone={schedule.zone} trans={trans} />
        </>
      )}
      <h2>{trans.__('History')}</h2>
      <History {...props} />
    </>
  );
}

function History(props: IBodyProps & { schedule: Schedule }): React.ReactElement {
  const { himalia, slug, commands, trans, schedule } = props;
  const path = `${at('projects', slug, 'schedules', schedule.name, 'slots')}?limit=50`;
  const part = useAnswer<{ items: ScheduleSlot[] }>(himalia, path, trans, schedule);
  return (
    <PartBody part={part} trans={trans}>
      {({ items }) =>
        items.length === 0 ? (
          <EmptyState text={trans.__('None of its times has come yet.')} />
        ) : (
          <table className="jp-Himalia-table">
            <thead>
              <tr>
                <th scope="col">{trans.__('Time')}</th>
                <th scope="col">{trans.__('What became of it')}</th>
                <th scope="col">{trans.__('Run')}</th>
                <th scope="col">{trans.__('Decided')}</th>
              </tr>
            </thead>
            <tbody>
              {items.map(slot => (
                <tr key={slot.slot}>
                  <th scope="row">{wallTime(slot.local)}</th>
                  <td>
                    <StateDot state={slot.run_status ?? slot.state} trans={trans} />
                    {slot.reason && <div className="jp-Himalia-muted">{slot.reason}</div>}
                  </td>
                  <td>
                    {slot.run_id ? (
                      <button
                        type="button"
                        className="jp-Himalia-runLink"
                        onClick={() =>
                          void commands.execute(CommandIDs.openRun, { run: slot.run_id, slug })
                        }
                      >
                        {trans.__('run %1', shortId(slot.run_id))}
                      </button>
                    ) : (
                      '–'
                    )}
                  </td>
                  <td>
                    <Ago at={slot.decided_at} trans={trans} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )
      }
    </PartBody>
  );
}
