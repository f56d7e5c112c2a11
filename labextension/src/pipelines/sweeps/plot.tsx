import { CommandRegistry } from '@lumino/commands';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { CommandIDs } from '../../commands';
import { Select, shortId, stateWord } from '../../components';
import { formatMetric } from '../../models/metrics';
import { runState } from '../../service/reduce';
import { IName, IPoint, metricKey, pointLabel } from './model';
import { IScale, numberScale, valueScale } from './scales';

const WIDTH = 720;
const HEIGHT = 260;
/** Room for the marks of the axes. */
const LEFT = 64;
const RIGHT = 16;
const TOP = 12;
const BOTTOM = 28;
/** Points that differ in the axis alone are joined by lines, unless that made a tangle. */
const MOST_LINES = 12;

interface IPlotProps {
  slug: string;
  axes: readonly IName[];
  metrics: readonly IName[];
  points: readonly IPoint[];
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** A point with its place in the picture. */
interface IPlaced {
  point: IPoint;
  value: number;
  x: number;
  y: number;
}

/** A metric against a parameter, a mark for each run. */
export const SweepPlot = React.memo(function SweepPlot(props: IPlotProps) {
  const { axes, metrics, trans } = props;
  const [axisName, setAxis] = React.useState('');
  const [metricName, setMetric] = React.useState('');
  const axis = Math.max(
    0,
    axes.findIndex(({ label }) => label === axisName)
  );
  const metric = metrics.find(({ label }) => label === metricName) ?? metrics[0];
  const choose = (
    label: string,
    names: readonly IName[],
    now: string,
    set: (to: string) => void
  ) => (
    <label className="jp-Himalia-check">
      {label}
      <Select value={now} onChange={event => set(event.target.value)}>
        {names.map(name => (
          <option key={name.label}>{name.label}</option>
        ))}
      </Select>
    </label>
  );
  return (
    <figure className="jp-Himalia-sweepPlot">
      <div className="jp-Himalia-panelTools">
        {choose(trans.__('Metric'), metrics, metric.label, setMetric)}
        {choose(trans.__('against'), axes, axes[axis].label, setAxis)}
      </div>
      <Picture {...props} axis={axis} metric={metric} />
    </figure>
  );
});

function Picture(props: IPlotProps & { axis: number; metric: IName }): React.ReactElement {
  const { slug, axes, points, commands, trans, axis, metric } = props;
  const [chosen, choose] = React.useState<string | null>(null);
  const nodes = React.useRef(new Map<string, SVGGElement>());
  const { placed, x, y } = place(points, axis, metricKey(metric));
  const reachable = placed.some(({ point }) => point.run.id === chosen)
    ? chosen
    : placed[0]?.point.run.id;
  const shown = placed.find(({ point }) => point.run.id === chosen);
  const open = (run: string) => void commands.execute(CommandIDs.openRun, { run, slug });
  const onKeyDown = (event: React.KeyboardEvent, index: number) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      nodes.current.get(placed[index + step]?.point.run.id ?? '')?.focus();
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      open(placed[index].point.run.id);
    }
  };
  const label = ({ point, value }: IPlaced) =>
    trans.__(
      '%1: %2 %3, run %4, %5',
      pointLabel(point, axes),
      metric.label,
      formatMetric(value),
      shortId(point.run.id),
      stateWord(runState(point.run), trans)
    );
  return (
    <>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="group"
        aria-label={trans.__('%1 against %2', metric.label, axes[axis].label)}
      >
        <Axes x={x} y={y} />
        {lines(placed, axis).map(path => (
          <path key={path} className="jp-Himalia-plotLine" d={path} />
        ))}
        {placed.map((one, index) => {
          const { id, status } = one.point.run;
          const classes = [
            'jp-Himalia-plotPoint',
            status !== 'succeeded' && 'jp-mod-hollow',
            id === chosen && 'jp-mod-selected'
          ];
          return (
            <g
              key={id}
              ref={node => void (node ? nodes.current.set(id, node) : nodes.current.delete(id))}
              className={classes.filter(Boolean).join(' ')}
              role="button"
              tabIndex={id === reachable ? 0 : -1}
              aria-label={label(one)}
              data-run={id}
              onPointerEnter={() => choose(id)}
              onFocus={() => choose(id)}
              onClick={() => open(id)}
              onKeyDown={event => onKeyDown(event, index)}
            >
              <circle className="jp-Himalia-plotReach" cx={one.x} cy={one.y} r={11} />
              <circle cx={one.x} cy={one.y} r={id === chosen ? 7 : 4.5} />
            </g>
          );
        })}
      </svg>
      <figcaption>
        {shown
          ? label(shown)
          : trans.__('Each mark is a run. Point at one to see which; press it to open it.')}
        {placed.some(({ point }) => point.run.status !== 'succeeded') &&
          ` ${trans.__('Hollow: the run has not succeeded.')}`}
      </figcaption>
    </>
  );
}

function Axes({ x, y }: { x: IScale; y: IScale }): React.ReactElement {
  return (
    <g className="jp-Himalia-plotAxes" aria-hidden="true">
      {y.ticks.map(({ text, at }) => (
        <g key={text}>
          <line x1={LEFT} x2={WIDTH - RIGHT} y1={down(at)} y2={down(at)} />
          <text x={LEFT - 8} y={down(at) + 4} textAnchor="end">
            {text}
          </text>
        </g>
      ))}
      {x.ticks.map(({ text, at }) => (
        <text key={text} x={along(at)} y={HEIGHT - 8} textAnchor="middle">
          {text.length > 14 ? `${text.slice(0, 13)}…` : text}
        </text>
      ))}
    </g>
  );
}

/** The points that have the metric, from left to right. */
function place(
  points: readonly IPoint[],
  axis: number,
  key: string
): { placed: IPlaced[]; x: IScale; y: IScale } {
  const there = points.flatMap(point => {
    const value = point.metrics.get(key);
    return value === undefined || !Number.isFinite(value) ? [] : [{ point, value }];
  });
  // the axis has all values, so that it stays while the runs end one by one
  const x = valueScale(points.map(({ values }) => values[axis]));
  const y = numberScale(there.map(({ value }) => value));
  const placed = there
    .map(({ point, value }) => ({
      point,
      value,
      x: along(x.place(point.values[axis]) ?? 0),
      y: down(y.place(value) ?? 0)
    }))
    .sort((a, b) => a.x - b.x || a.point.number - b.point.number);
  return { placed, x, y };
}

/** Lines between points that are alike but for the axis. */
function lines(placed: readonly IPlaced[], axis: number): string[] {
  const groups = new Map<string, IPlaced[]>();
  for (const one of placed) {
    const others = JSON.stringify(one.point.values.filter((_, index) => index !== axis));
    groups.set(others, [...(groups.get(others) ?? []), one]);
  }
  const long = [...groups.values()].filter(group => group.length > 1);
  return long.length > MOST_LINES
    ? []
    : long.map(
        group => `M${group.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' L')}`
      );
}

function along(part: number): number {
  return LEFT + part * (WIDTH - LEFT - RIGHT);
}

function down(part: number): number {
  return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM);
}
