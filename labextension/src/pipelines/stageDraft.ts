import { TranslationBundle } from '@jupyterlab/translation';

import type { ManifestEdit, Stage } from '../api/types';

/** A stage as a form holds it. Lists: one item a line. */
export interface IStageDraft {
  name: string;
  notebook: string;
  /** One a line: `seed = 7`, with the value as JSON. */
  params: string;
  inputs: string;
  outputs: string;
  after: string;
  timeout: string;
  retries: string;
  cache: string;
  pool: string;
  cluster: string;
  environment: string;
}

/** Keys of the stage's table, beside `notebook` and `params`, in the order in which a new one has them. */
const LISTS = ['inputs', 'outputs', 'after'] as const;
const WORDS = ['cluster', 'environment', 'timeout', 'cache', 'pool'] as const;

/** A stage that is there. */
export function draftOf(stage: Stage): IStageDraft {
  const { settings } = stage;
  const word = (key: string) => {
    const value = settings[key];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  const after = Array.isArray(settings.after) ? (settings.after as string[]) : [];
  return {
    name: stage.name,
    notebook: stage.notebook,
    params: paramLines(stage.params),
    inputs: stage.inputs.join('\n'),
    outputs: stage.outputs.join('\n'),
    after: after.join('\n'),
    timeout: word('timeout'),
    retries: word('retries'),
    cache: word('cache'),
    pool: word('pool'),
    cluster: stage.cluster ?? '',
    environment: word('environment')
  };
}

/** A notebook that is to become a stage. */
export function newDraft(
  notebook: string,
  found: { inputs: readonly string[]; outputs: readonly string[] },
  taken: readonly string[]
): IStageDraft {
  return {
    name: stageName(notebook, taken),
    notebook,
    params: '',
    inputs: found.inputs.join('\n'),
    outputs: found.outputs.join('\n'),
    after: '',
    timeout: '',
    retries: '',
    cache: '',
    pool: '',
    cluster: '',
    environment: ''
  };
}

/** A free name for the stage of a notebook: "02-Train model.ipynb" → "train-model". */
export function stageName(notebook: string, taken: readonly string[]): string {
  const file = notebook.split('/').pop() ?? notebook;
  const words = file
    .replace(/\.ipynb$/i, '')
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '-')
    .replace(/^[\d_-]+(?=[a-z])/, '')
    .replace(/^[_-]+|-+$/g, '');
  const name = words.slice(0, 56) || 'stage';
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? name : `${name}-${number}`;
    if (!taken.includes(candidate)) {
      return candidate;
    }
  }
}

/** Parameters as lines of a form. */
export function paramLines(params: Record<string, unknown>): string {
  return Object.entries(params)
    .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
    .join('\n');
}

/**
 * The reverse of `paramLines`; a text needs no quotes when it is one word.
 *
 * @throws a sentence for the user
 */
export function readParams(text: string, trans: TranslationBundle): Record<string, unknown> {
  const params: Record<string, unknown> = {};
  for (const line of readLines(text)) {
    const match = /^([A-Za-z_]\w*)\s*=\s*(.+)$/.exec(line);
    if (!match) {
      throw new Error(trans.__('Write each parameter as a line: seed = 7. “%1” is none.', line));
    }
    params[match[1]] = readValue(match[2], trans);
  }
  return params;
}

function readValue(text: string, trans: TranslationBundle): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    if (/^[\w./-]+$/.test(text)) {
      return { True: true, False: false }[text] ?? text;
    }
    throw new Error(
      trans.__('“%1” cannot be read. Write a number, true, "a text" or a list [1, 2].', text)
    );
  }
}

/** The lines of a field that hold something. */
export function readLines(text: string): string[] {
  return text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
}

/**
 * The changes of himalia.toml that make a stage what the form says.
 *
 * @param before - the stage; null: it is new
 * @throws a sentence for the user
 */
export function draftEdits(
  before: Stage | null,
  draft: IStageDraft,
  trans: TranslationBundle
): ManifestEdit[] {
  const wanted = tableOf(draft, trans);
  const name = draft.name.trim();
  const path = ['stages', name];
  if (before === null) {
    const value = Object.fromEntries(Object.entries(wanted).filter(([, item]) => item !== null));
    return [{ op: 'add_stage', path, value }];
  }
  const edits: ManifestEdit[] = [];
  if (name !== before.name) {
    edits.push({ op: 'rename_stage', path: ['stages', before.name], value: name });
  }
  const known = tableOf(draftOf(before), trans);
  for (const [key, value] of Object.entries(wanted)) {
    if (JSON.stringify(value) === JSON.stringify(known[key])) {
      continue;
    }
    if (value === null) {
      edits.push({ op: 'remove', path: [...path, key], value: null });
    } else if (key === 'params') {
      edits.push(...paramEdits(path, before.params, value as Record<string, unknown>));
    } else {
      edits.push({ op: 'set', path: [...path, key], value });
    }
  }
  return edits;
}

/** Each parameter for itself, so that comments between them stay. */
function paramEdits(
  path: readonly string[],
  before: Record<string, unknown>,
  after: Record<string, unknown>
): ManifestEdit[] {
  const gone = Object.keys(before).filter(name => !(name in after));
  const changed = Object.entries(after).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name])
  );
  return [
    ...gone.map(name => ({ op: 'remove' as const, path: [...path, 'params', name], value: null })),
    ...changed.map(([name, value]) => ({
      op: 'set' as const,
      path: [...path, 'params', name],
      value
    }))
  ];
}

/** The stage's table; null: the key is not there. */
function tableOf(draft: IStageDraft, trans: TranslationBundle): Record<string, unknown> {
  const params = readParams(draft.params, trans);
  const table: Record<string, unknown> = {
    notebook: draft.notebook.trim(),
    params: Object.keys(params).length > 0 ? params : null
  };
  for (const key of LISTS) {
    const lines = readLines(draft[key]);
    table[key] = lines.length > 0 ? lines : null;
  }
  for (const key of WORDS) {
    table[key] = draft[key].trim() || null;
  }
  const retries = draft.retries.trim();
  if (retries !== '' && !/^\d+$/.test(retries)) {
    throw new Error(trans.__('Retries: write a whole number, such as 2.'));
  }
  table.retries = retries === '' ? null : Number(retries);
  return table;
}

/** The change that has one stage wait for another; null when it does so already, or when that would be a circle. */
export function afterEdit(
  stages: readonly Stage[],
  from: string,
  to: string
): ManifestEdit | 'known' | 'circle' | null {
  const byName = new Map(stages.map(stage => [stage.name, stage]));
  const target = byName.get(to);
  if (!target || !byName.has(from)) {
    return null;
  }
  if (target.waits_for.includes(from)) {
    return 'known';
  }
  if (from === to || isBelow(byName, from, to)) {
    return 'circle';
  }
  const after = Array.isArray(target.settings.after) ? (target.settings.after as string[]) : [];
  return { op: 'set', path: ['stages', to, 'after'], value: [...after, from] };
}

/** Whether *name* waits for *other*, directly or through others. */
function isBelow(stages: ReadonlyMap<string, Stage>, name: string, other: string): boolean {
  const seen = new Set<string>();
  const open = [name];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const before of stages.get(next)?.waits_for ?? []) {
      if (before === other) {
        return true;
      }
      if (!seen.has(before)) {
        seen.add(before);
        open.push(before);
      }
    }
  }
  return false;
}
