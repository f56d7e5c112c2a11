import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import { runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { refusedBy } from '../api/roles';
import type { Schedule } from '../api/types';
import { CommandIDs } from '../commands';
import { EmptyState, IconButton, PartBody, StateDot, stateWord } from '../components';
import type { IProjectStore } from '../tokens';
import { pauseIcon, resumeIcon } from './rowIcons';
import { scheduleState, schedulesOf } from './question';
import { wallTime } from './times';

interface ISectionProps {
  store: IProjectStore;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** What runs by the clock. */
export default function SchedulesSection(props: ISectionProps): React.ReactElement {
  const { store, commands, trans } = props;
  return (
    <PartBody part={schedulesOf(store)} project={store.project} trans={trans}>
      {schedules =>
        schedules.length === 0 ? (
          <EmptyState
            text={trans.__('Nothing runs by the clock yet.')}
            action={{
              label: trans.__('Schedule the pipeline…'),
              onClick: () => void commands.execute(CommandIDs.schedule, { pipeline: true }),
              disabledReason:
                store.project.stages.length === 0
                  ? trans.__('The project has no stages yet.')
                  : refusedBy(store.project.role, 'schedule.write', trans)
            }}
          />
        ) : (
          <ul className="jp-Himalia-items" role="list">
            {schedules.map(schedule => (
              <Row key={schedule.id} schedule={schedule} {...props} />
            ))}
          </ul>
        )
      }
    </PartBody>
  );
}

function Row(props: ISectionProps & { schedule: Schedule }): React.ReactElement {
  const { schedule, store, commands, trans } = props;
  const { name, paused, next, description, trouble, target } = schedule;
  const refused = refusedBy(store.project.role, 'schedule.operate', trans);
  const state = scheduleState(schedule);
  const operate = (act: string) => void commands.execute(CommandIDs.operateSchedule, { name, act });
  return (
    <li className="jp-Himalia-item" data-schedule={name}>
      <div className="jp-Himalia-itemHead">
        <StateDot
          compact
          state={state}
          label={state === 'ready' ? trans.__('waits for its time') : stateWord(state, trans)}
          trans={trans}
        />
        <button
          type="button"
          className="jp-Himalia-itemName"
          title={trans.__('Open the schedule %1', name)}
          onClick={() => void commands.execute(CommandIDs.openSchedule, { name })}
        >
          {name}
        </button>
        <span className="jp-Himalia-itemActions">
          <IconButton
            icon={runIcon}
            label={trans.__('Run %1 now', name)}
            disabledReason={refused}
            onClick={() => operate('run')}
          />
          <IconButton
            icon={paused ? resumeIcon : pauseIcon}
            label={paused ? trans.__('Resume %1', name) : trans.__('Pause %1', name)}
            disabledReason={refused}
            onClick={() => operate(paused ? 'resume' : 'pause')}
          />
        </span>
      </div>
      <div className="jp-Himalia-itemFacts">
        {target.kind === 'notebook' && `${target.notebook} · `}
        {description}
        {paused
          ? ` · ${trans.__('paused')}`
          : next.length > 0 && ` · ${trans.__('next %1', wallTime(next[0].local))}`}
      </div>
      {trouble && <div className="jp-Himalia-itemError">{trouble}</div>}
    </li>
  );
}
