import { TranslationBundle } from '@jupyterlab/translation';

import type { StageKey } from '../api/types';

/** How a part of a key compares with the one before. */
export type PartChange = 'same' | 'changed' | 'new' | 'gone';

/** A part of a stage's key: its digest, or its value where that is short. */
export interface IKeyPart {
  /** code, parameter, input, module, environment, kernel or outputs. */
  kind: string;
  name: string;
  value: string;
  /** Null: compared with nothing. */
  change: PartChange | null;
  /** What stood there before; empty when that is the same, or nothing. */
  before: string;
}

/** All parts of a key in their order, compared with those of *before*. */
export function keyParts(now: StageKey, before: StageKey | null): IKeyPart[] {
  const parts: IKeyPart[] = codeParts(now.code, before?.code ?? null);
  const named = (kind: string, own: Values, other: Values | null) => {
    for (const [name, value] of Object.entries(own)) {
      const old = other?.[name];
      const change = other && (old === undefined ? 'new' : old === value ? 'same' : 'changed');
      parts.push({ kind, name, value, change, before: change === 'changed' ? (old ?? '') : '' });
    }
    for (const [name, value] of Object.entries(other ?? {})) {
      if (!(name in own)) {
        parts.push({ kind, name, value: '', change: 'gone', before: value });
      }
    }
  };
  named('parameter', written(now.parameters), before && written(before.parameters));
  named('input', now.inputs, before && before.inputs);
  named('module', now.modules, before && before.modules);
  named('environment', { '': now.environment }, before && { '': before.environment });
  named('kernel', { '': now.kernel }, before && { '': before.kernel });
  const list = ({ outputs }: StageKey) => ({ '': outputs.join(', ') });
  named('outputs', list(now), before && list(before));
  return parts;
}

type Values = Record<string, string>;

function written(parameters: Record<string, unknown>): Values {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, JSON.stringify(value)])
  );
}

/** Code cells by what they are, not by their number: one that is put before others changes none of them. */
function codeParts(now: readonly string[], before: readonly string[] | null): IKeyPart[] {
  const left = [...(before ?? [])];
  const parts = now.map((value, index): IKeyPart => {
    const place = left.indexOf(value);
    if (place >= 0) {
      left.splice(place, 1);
    }
    const change = before && (place >= 0 ? 'same' : 'changed');
    return { kind: 'code', name: String(index + 1), value, change, before: '' };
  });
  const fresh = parts.filter(({ change }) => change === 'changed');
  // as many as there are more of them are new; which of them, nobody knows: the last ones
  fresh.slice(left.length).forEach(part => (part.change = 'new'));
  const gone = left.slice(fresh.length);
  return [
    ...parts,
    ...gone.map((value): IKeyPart => ({
      kind: 'code',
      name: '',
      value: '',
      change: 'gone',
      before: value
    }))
  ];
}

/** What a part is called. */
export function partWord({ kind, name }: IKeyPart, trans: TranslationBundle): string {
  switch (kind) {
    case 'code':
      return name ? trans.__('code cell %1', name) : trans.__('a code cell');
    case 'parameter':
      return trans.__('parameter %1', name);
    case 'input':
      return trans.__('input %1', name);
    case 'module':
      return trans.__('module %1', name);
    case 'environment':
      return trans.__('environment');
    case 'kernel':
      return trans.__('kernel');
    default:
      return trans.__('declared outputs');
  }
}

/** How a part compares, in a word. */
export function changeWord(change: PartChange, trans: TranslationBundle): string {
  switch (change) {
    case 'same':
      return trans.__('same');
    case 'changed':
      return trans.__('changed');
    case 'new':
      return trans.__('new');
    default:
      return trans.__('gone');
  }
}

/** A digest as far as it is shown; other values as they are. */
export function shortValue(value: string): string {
  const digest = /^(?:sha256:|key:|([a-z]+:))?([0-9a-f]{32,})$/.exec(value);
  return digest ? `${digest[1] ?? ''}${digest[2].slice(0, 10)}` : value;
}
