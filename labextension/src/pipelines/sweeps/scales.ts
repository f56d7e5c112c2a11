import { valueText } from './model';

/** Values of a parameter that each get a place of their own; more of them stand as far apart as they are. */
const MOST_STEPS = 12;

/** A mark of an axis: its words, and its place from 0 to 1. */
export interface ITick {
  text: string;
  at: number;
}

/** An axis: where a value lies on it, from 0 to 1; null for what is none of it. */
export interface IScale {
  ticks: ITick[];
  place: (value: unknown) => number | null;
}

/** An axis for the values of a parameter: numbers by size, others as they come. */
export function valueScale(values: readonly unknown[]): IScale {
  const texts = [...new Set(values.map(valueText))];
  const numbers = values.every(value => typeof value === 'number');
  if (numbers && texts.length > MOST_STEPS) {
    return numberScale(values);
  }
  if (numbers) {
    texts.sort((a, b) => Number(a) - Number(b));
  }
  const step = (index: number) => (index + 0.5) / texts.length;
  const every = Math.ceil(texts.length / MOST_STEPS);
  return {
    ticks: texts
      .map((text, index) => ({ text, at: step(index) }))
      .filter((_, index) => index % every === 0),
    place: value => {
      const index = texts.indexOf(valueText(value));
      return index < 0 ? null : step(index);
    }
  };
}

/** An axis for numbers, with round marks. */
export function numberScale(values: readonly number[]): IScale {
  const finite = values.filter(Number.isFinite);
  let least = Math.min(...finite);
  let most = Math.max(...finite);
  if (finite.length === 0) {
    return { ticks: [], place: () => null };
  }
  if (least === most) {
    const room = Math.abs(least) / 10 || 1;
    [least, most] = [least - room, most + room];
  }
  const step = roundStep((most - least) / 4);
  const [from, to] = [Math.floor(least / step), Math.ceil(most / step)];
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const text = (value: number) =>
    digits > 6 || Math.abs(value) >= 1e7 ? value.toPrecision(3) : value.toFixed(digits);
  const ticks: ITick[] = [];
  for (let index = from; index <= to; index += 1) {
    ticks.push({ text: text(index * step), at: (index - from) / (to - from) });
  }
  const place = (value: unknown) =>
    typeof value === 'number' && Number.isFinite(value)
      ? (value / step - from) / (to - from)
      : null;
  return { ticks, place };
}

/** 1, 2 or 5 times a power of ten, no less than what is given. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  const found = [1, 2, 5].find(times => times * power >= least * (1 - 1e-9));
  return (found ?? 10) * power;
}
