import { beforeEach, describe, expect, it } from 'vitest';

import type { Cluster, Deployment, Project, Run, StageRun } from '../../api/types';
import { Himalia, IHimaliaParts } from '../himalia';
import {
  putRun,
  putRuns,
  reduceClusters,
  reduceDeployments,
  reduceRuns,
  runState
} from '../reduce';
import { event, FakeParts, Later, settle } from './fakes';

function stage(name: string, change: Partial<StageRun> = {}): StageRun {
  return {
    name,
    status: 'pending',
    reason: null,
    params: {},
    outputs: {},
    key: null,
    cached_from: null,
    attempts: 0,
    failed_cell: null,
    error_name: null,
    cell_seconds: [],
    warnings: [],
    cell: 0,
    cells: 0,
    label: null,
    tracking_run: null,
    notebook: false,
    error: null,
    hint: null,
    started_at: null,
    ended_at: null,
    ...change
  };
}

function run(id: string, change: Partial<Run> = {}): Run {
  return {
    id,
    project: 'flights',
    kind: 'pipeline',
    trigger: 'person',
    options: { only: [], from: [], to: [], force: false, keep_going: false },
    code: {},
    origin: null,
    sweep: null,
    schedule: null,
    slot: null,
    warnings: [],
    status: 'running',
    reason: null,
    components: {},
    environment: null,
    snapshot: '',
    created_by: 'ada',
    created_at: 100,
    started_at: 101,
    ended_at: null,
    stages: [stage('prepare'), stage('train')],
    ...change
  };
}

function project(slug: string, change: Partial<Project> = {}): Project {
  return {
    slug,
    name: slug,
    description: '',
    path: `/home/ada/${slug}`,
    kernelspec: '',
    created_at: 50,
    role: 'owner',
    stages: [],
    problem: null,
    missing: false,
    archived_at: null,
    trashed_at: null,
    purged_at: null,
    ...change
  };
}

const cluster = { name: 'local', state: 'starting', workers: 0, wanted: 2 } as Cluster;

describe('events about runs', () => {
  it('move stages on', () => {
    let runs: readonly Run[] = [run('r')];
    runs = reduceRuns(runs, event(1, 'stage.started', 'r', { stage: 'prepare' }));
    const progress = { stage: 'prepare', cell: 3, cells: 9, label: 'Join' };
    runs = reduceRuns(runs, event(2, 'stage.progress', 'r', progress));
    expect(runs[0].stages[0]).toMatchObject({
      status: 'running',
      started_at: 1001,
      ...{ cell: 3 }
    });
    const end = { stage: 'prepare', status: 'failed', error: 'no file', hint: 'make it' };
    runs = reduceRuns(runs, event(3, 'stage.ended', 'r', end));
    runs = reduceRuns(runs, event(4, 'run.ended', 'r', { status: 'failed', reason: null }));
    expect(runs[0]).toMatchObject({ status: 'failed', ended_at: 1004 });
    expect(runs[0].stages[0]).toMatchObject({
      status: 'failed',
      error: 'no file',
      hint: 'make it'
    });
  });

  it('that are older than what is known change nothing', () => {
    const ended = run('r', {
      status: 'succeeded',
      stages: [stage('prepare', { status: 'succeeded', cell: 9, cells: 9 })]
    });
    const runs = [ended];
    expect(reduceRuns(runs, event(1, 'stage.started', 'r', { stage: 'prepare' }))).toBe(runs);
    expect(reduceRuns(runs, event(2, 'run.started', 'r'))).toBe(runs);
  });

  it('never move cells back', () => {
    const runs = [run('r', { stages: [stage('a', { status: 'running', cell: 5, cells: 9 })] })];
    const [changed] = reduceRuns(
      runs,
      event(1, 'stage.progress', 'r', { stage: 'a', cell: 3, cells: 9 })
    );
    expect(changed.stages[0].cell).toBe(5);
  });

  it('about unknown runs and stages change nothing', () => {
    const runs = [run('r')];
    expect(reduceRuns(runs, event(1, 'run.ended', 'x', { status: 'failed' }))).toBe(runs);
    expect(reduceRuns(runs, event(1, 'stage.started', 'r', { stage: 'x' }))).toBe(runs);
  });

  it('tell of a cancelling until the end', () => {
    let runs = reduceRuns([run('r')], event(1, 'run.cancelling', 'r', { by: 'ada' }));
    expect(runState(runs[0])).toBe('cancelling');
    runs = putRun(runs, run('r'));
    expect(runState(runs[0])).toBe('cancelling');
    runs = reduceRuns(runs, event(2, 'run.ended', 'r', { status: 'cancelled', reason: null }));
    expect(runState(runs[0])).toBe('cancelled');
  });
});

describe('answers about runs', () => {
  it('that were made before an event do not undo it', () => {
    const known = run('r', {
      stages: [
        stage('a', { status: 'succeeded' }),
        stage('b', { status: 'running', cell: 4, cells: 5 })
      ]
    });
    const old = run('r', {
      stages: [
        stage('a', { status: 'running' }),
        stage('b', { status: 'running', cell: 2, cells: 5 })
      ]
    });
    const [merged] = putRun([known], old);
    expect(merged.stages.map(({ status, cell }) => [status, cell])).toEqual([
      ['succeeded', 0],
      ['running', 4]
    ]);
    expect(putRuns([run('r', { status: 'failed' })], [run('r')])[0].status).toBe('failed');
  });

  it('keep the newest twenty, newest first', () => {
    const many = Array.from({ length: 20 }, (_, at) => run(`r${at}`, { created_at: 100 - at }));
    const runs = putRun(many, run('new', { created_at: 200 }));
    expect([runs.length, runs[0].id, runs[19].id]).toEqual([20, 'new', 'r18']);
  });

  it('do not lose a run that was made while they were under way', () => {
    const runs = putRuns([run('new', { created_at: 200 })], [run('old')]);
    expect(runs.map(({ id }) => id)).toEqual(['new', 'old']);
  });
});

describe('events about clusters and deployments', () => {
  it('change the one that they name', () => {
    const other = { ...cluster, name: 'other' };
    const data = { state: 'running', workers: 2, wanted: 2, error: null };
    const clusters = reduceClusters([cluster, other], event(1, 'cluster.state', 'local', data));
    expect(clusters.map(({ state, workers }) => [state, workers])).toEqual([
      ['running', 2],
      ['starting', 0]
    ]);
    expect(
      reduceClusters(clusters, event(2, 'cluster.scaled', 'local', { workers: 5 }))[0].wanted
    ).toBe(5);
  });

  it('take away what is gone', () => {
    expect(
      reduceClusters([cluster], event(1, 'cluster.state', 'local', { state: 'stopped' }))
    ).toEqual([]);
    const known = [{ name: 'api', state: 'ready' } as Deployment];
    expect(
      reduceDeployments(known, event(1, 'deployment.state', 'api', { state: 'deleted' }))
    ).toEqual([]);
    const failed = { state: 'failed', error: 'no memory' };
    expect(reduceDeployments(known, event(2, 'deployment.state', 'api', failed))[0]).toMatchObject(
      failed
    );
  });
});

/** Himalia with a service made of a table of answers. */
class Parts extends FakeParts implements IHimaliaParts {
  asked: string[] = [];
  answers: Record<string, () => unknown> = {
    projects: () => ({ items: this.projects }),
    'projects/flights': () => this.projects[0],
    'projects/flights/runs?limit=20': () => ({ items: [run('r')] }),
    'projects/flights/runs/r': () => run('r'),
    'projects/flights/clusters': () => ({ items: [cluster] }),
    'projects/flights/models': () => ({ items: [] }),
    'projects/flights/deployments': () => ({ items: [] }),
    'projects/flights/tracking': () => ({ state: 'running' })
  };
  projects = [project('flights')];
  leaves = false;
  left = 0;
  before: string | null = null;

  upload = () => Promise.reject(new Error('no files here'));
  download = () => Promise.reject(new Error('no files here'));

  ids: (string | undefined)[] = [];

  async request<T>(_method: string, path: string, _body?: unknown, id?: string): Promise<T> {
    this.asked.push(path);
    this.ids.push(id);
    const answer = this.answers[path];
    if (!answer) {
      throw Object.assign(new Error(`no ${path}`), { status: 404 });
    }
    return (await answer()) as T;
  }

  pageUrl(path: string): string {
    return path;
  }

  choose(projects: readonly Project[]): Promise<string | null> {
    return Promise.resolve(projects.find(({ slug }) => slug === 'flights')?.slug ?? null);
  }

  missed(): Promise<string | null> {
    return Promise.resolve(this.before);
  }

  leaveFor(): Promise<boolean> {
    this.left += 1;
    return Promise.resolve(this.leaves);
  }
}

describe('the open project', () => {
  let parts: Parts;
  let himalia: Himalia;

  beforeEach(async () => {
    parts = new Parts();
    himalia = new Himalia(parts);
    await himalia.machine.begin();
    parts.socket.welcome();
    await parts.clock.pass(1000);
    parts.asked = [];
  });

  it('is read whole, each part once', async () => {
    const fresh = new Parts();
    const page = new Himalia(fresh);
    await page.machine.begin();
    fresh.socket.welcome();
    await fresh.clock.pass(1000);
    expect(fresh.asked.sort()).toEqual(
      Object.keys(fresh.answers)
        .filter(path => !path.endsWith('/r'))
        .sort()
    );
    const { store } = page;
    expect(store?.runs.items?.length).toBe(1);
    expect([store?.tracking, store?.contentsPath]).toEqual(['running', 'flights']);
  });

  it('asks only for what an event touches, and once for many', async () => {
    for (let seq = 1; seq <= 5; seq += 1) {
      parts.socket.say(event(seq, 'cluster.state', 'local', { state: 'running', workers: seq }));
    }
    expect(himalia.store?.clusters.items?.[0].workers).toBe(5);
    await parts.clock.pass(1000);
    expect(parts.asked).toEqual(['projects/flights/clusters']);
  });

  it('asks nothing for progress, and shows it', async () => {
    const data = { stage: 'train', cell: 2, cells: 4, label: 'Fit' };
    parts.socket.say(event(1, 'stage.progress', 'r', data));
    await parts.clock.pass(1000);
    expect(parts.asked).toEqual([]);
    expect(himalia.store?.runs.items?.[0].stages[1]).toMatchObject({ cell: 2, label: 'Fit' });
  });

  it('passes on how far a request is, to who asked and while it is under way', async () => {
    const later = new Later<object>();
    parts.answers['making'] = () => later.promise;
    const told: unknown[] = [];
    const made = himalia.request('POST', 'making', {}, progress => told.push(progress));
    const id = parts.ids[parts.ids.length - 1] ?? '';
    const step = (subject: string, percent: number | null) =>
      parts.socket.say(event(1, 'project.making', subject, { step: 'Receiving', percent }, null));
    step(id, 42);
    step('another', 43);
    step(id, null);
    later.resolve({});
    await made;
    step(id, 99);
    expect(told).toEqual([
      { step: 'Receiving', percent: 42 },
      { step: 'Receiving', percent: null }
    ]);
    await parts.clock.pass(1000);
    expect(parts.asked).toEqual(['making']); // it is no reason to read the projects anew
  });

  it('keeps what was last read from a manifest that cannot be read', async () => {
    const stages = [{ name: 'train' }] as Project['stages'];
    parts.projects = [{ ...parts.projects[0], stages }];
    void himalia.refresh();
    await parts.clock.pass(1000);
    parts.answers['projects/flights'] = () => ({
      ...parts.projects[0],
      name: 'flights',
      stages: [],
      problem: 'himalia.toml, line 3: no'
    });
    himalia.saved('flights/himalia.toml');
    await parts.clock.pass(1000);
    expect(himalia.store?.project).toMatchObject({ problem: 'himalia.toml, line 3: no', stages });
  });

  it('looks again at what follows from files when the page is seen, and when the manifest was mended', async () => {
    parts.answers['projects/flights/problems'] = () => ({ items: [] });
    himalia.store?.part({ path: 'problems', topics: ['project.'] });
    await parts.clock.pass(1000);
    parts.asked = [];
    himalia.seen();
    await parts.clock.pass(1000);
    expect(parts.asked.sort()).toEqual(['projects/flights', 'projects/flights/problems']);
    parts.asked = [];
    parts.answers['projects/flights'] = () => ({ ...parts.projects[0], problem: 'line 3: no' });
    await Promise.all([himalia.store?.refreshProject(), parts.clock.pass(1000)]);
    await parts.clock.pass(1000);
    expect(parts.asked.sort()).toEqual(['projects/flights', 'projects/flights/problems']);
  });

  it('reads members again when an event is on them, and what the user may do now', async () => {
    const question = { path: 'members', topics: ['project.members'] };
    parts.answers['projects/flights/members'] = () => ({ items: [], next: null });
    himalia.store?.part(question);
    await parts.clock.pass(1000);
    parts.asked = [];
    parts.projects = [{ ...parts.projects[0], role: 'viewer' }];
    parts.socket.say(event(1, 'project.members', 'flights', { user: 'ada', role: 'viewer' }));
    await parts.clock.pass(1000);
    expect(parts.asked.sort()).toEqual([
      'projects',
      'projects/flights',
      'projects/flights/members'
    ]);
    expect(himalia.store?.project.role).toBe('viewer');
  });

  it('reads models when a stage has succeeded, for they may be new', async () => {
    parts.socket.say(event(1, 'stage.ended', 'r', { stage: 'train', status: 'succeeded' }));
    await parts.clock.pass(1000);
    expect(parts.asked).toContain('projects/flights/models');
  });

  it('does not hear events of other projects', async () => {
    parts.socket.say(event(1, 'cluster.state', 'local', { state: 'stopped' }, 'other'));
    await parts.clock.pass(1000);
    expect([parts.asked, himalia.store?.clusters.items?.length]).toEqual([[], 1]);
  });

  it('is not overwritten by an answer that is older than the last question', async () => {
    const slow = new Later<unknown>();
    parts.answers['projects/flights/models'] = () => slow.promise;
    parts.socket.say(event(1, 'model.alias', 'm'));
    await parts.clock.pass(100);
    parts.socket.say(event(2, 'model.alias', 'm'));
    await parts.clock.pass(100);
    expect(parts.asked).toHaveLength(1);
    parts.answers['projects/flights/models'] = () => ({ items: [{ name: 'm', versions: [] }] });
    slow.resolve({ items: [] });
    await settle();
    expect(parts.asked).toHaveLength(2);
    expect(himalia.store?.models.items).toHaveLength(1);
  });

  it('keeps what it knows when a question fails, and tells why', async () => {
    parts.answers['projects/flights/clusters'] = () => Promise.reject(new Error('broken'));
    parts.socket.say(event(1, 'cluster.scaled', 'local', { workers: 3 }));
    await parts.clock.pass(1000);
    const slice = himalia.store?.clusters;
    expect([slice?.items?.length, slice?.problem?.message]).toEqual([1, 'broken']);
  });

  it('is read again when events were missed', async () => {
    parts.socket.say({ reset: true });
    await parts.clock.pass(1000);
    expect(parts.asked).toContain('projects/flights/runs?limit=20');
    expect(parts.asked).toContain('projects');
  });

  it('is gone when it is deleted, and says so', async () => {
    parts.projects = [];
    parts.socket.say(event(1, 'project.deleted', 'flights'));
    await parts.clock.pass(1000);
    expect([himalia.store, himalia.deleted, himalia.projects]).toEqual([null, 'flights', []]);
  });

  it('is told to have ended once the list tells it too, wherever that was done', async () => {
    const told: unknown[] = [];
    himalia.ended.connect((_, { project: { slug }, deleted }) => told.push([slug, deleted]));
    // a page that has slept hears of an end that was undone since then
    parts.socket.say(event(1, 'project.archived', 'flights'));
    await parts.clock.pass(1000);
    parts.socket.say(event(2, 'project.unarchived', 'flights'));
    await parts.clock.pass(1000);
    parts.projects = [];
    void himalia.refresh();
    await parts.clock.pass(1000);
    expect(told).toEqual([]);
    parts.projects = [project('flights')];
    void himalia.refresh();
    await parts.clock.pass(1000);
    parts.projects = [];
    parts.socket.say(event(3, 'project.trashed', 'flights'));
    await parts.clock.pass(1000);
    expect(told).toEqual([['flights', true]]);
    void himalia.refresh();
    await parts.clock.pass(1000);
    expect(told).toHaveLength(1);
  });

  it('is asked again when an answer about its files is', async () => {
    himalia.store?.part({ path: 'environment', topics: ['environment.', 'project.file'] });
    await parts.clock.pass(1000);
    parts.asked.length = 0;
    parts.projects = [project('flights', { problem: 'himalia.toml, line 3' })];
    parts.socket.say(event(1, 'environment.failed', 'b'));
    await parts.clock.pass(1000);
    expect(himalia.store?.project.problem).toBe('himalia.toml, line 3');
  });

  it('is open again when it is made again', async () => {
    parts.projects = [];
    parts.socket.say(event(1, 'project.deleted', 'flights'));
    await parts.clock.pass(1000);
    parts.projects = [project('flights', { created_at: 99 })];
    parts.socket.say(event(2, 'project.created', 'flights'));
    await parts.clock.pass(1000);
    expect([himalia.store?.slug, himalia.deleted]).toEqual(['flights', null]);
  });

  it('reads its manifest again when the file is saved', async () => {
    himalia.saved('flights/other.toml');
    himalia.saved('flights/himalia.toml');
    parts.projects = [project('flights', { problem: 'line 3' })];
    await parts.clock.pass(1000);
    expect(parts.asked).toEqual(['projects/flights']);
    expect(himalia.store?.project.problem).toBe('line 3');
  });

  it('asks again, when somebody answers again, for what could not be read', async () => {
    const broken = () => Promise.reject(Object.assign(new Error('gone'), { status: 0 }));
    const answer = parts.answers['projects/flights/models'];
    parts.socket.say(event(1, 'project.created', 'other'));
    parts.answers['projects/flights/models'] = broken;
    parts.socket.say(event(2, 'model.alias', 'm'));
    await parts.clock.pass(1000);
    expect(himalia.store?.models.problem?.message).toBe('gone');
    parts.answers['projects/flights/models'] = answer;
    parts.socket.end(1012);
    await parts.clock.pass(1000);
    parts.socket.onopen?.(new Event('open')); // nothing was missed: no reset comes
    await parts.clock.pass(1000);
    expect(himalia.connection).toBe('live');
    expect(himalia.store?.models.problem).toBeNull();
  });

  it('asks again for the list of projects as well', async () => {
    parts.socket.say(event(1, 'cluster.state', 'local', { state: 'running' }));
    const answer = parts.answers['projects'];
    parts.answers['projects'] = () => Promise.reject(new Error('gone'));
    parts.socket.say(event(2, 'project.created', 'other'));
    await parts.clock.pass(1000);
    expect(himalia.problem?.message).toBe('gone');
    parts.answers['projects'] = answer;
    parts.socket.end(1012);
    await parts.clock.pass(1000);
    parts.socket.onopen?.(new Event('open'));
    await parts.clock.pass(1000);
    expect(himalia.problem).toBeNull();
  });

  it('follows a service that was started elsewhere as soon as it answers', async () => {
    parts.socket.end(4503);
    expect(himalia.connection).toBe('stopped');
    await himalia.request('GET', 'projects');
    await settle();
    parts.socket.welcome();
    expect([himalia.connection, parts.starts]).toEqual(['live', 0]);
  });

  it('is not left for itself, which in a second tab of its workspace would never end', async () => {
    parts.leaves = true;
    await himalia.open('flights');
    expect([parts.left, himalia.store?.slug]).toEqual([0, 'flights']);
  });

  it('is told to be gone when it went while the page was not there', async () => {
    const fresh = new Parts();
    fresh.projects = [];
    fresh.before = 'flights';
    const page = new Himalia(fresh);
    await page.machine.begin();
    fresh.socket.welcome();
    await fresh.clock.pass(1000);
    expect([page.store, page.deleted]).toEqual([null, 'flights']);
  });

  it('stays when another one is opened, because that is another page', async () => {
    parts.leaves = true;
    parts.projects = [project('flights'), project('other')];
    void himalia.refresh();
    await parts.clock.pass(1000);
    await himalia.open('other');
    expect(himalia.store?.slug).toBe('flights');
  });
});

async function opened(parts: Parts): Promise<Himalia> {
  const himalia = new Himalia(parts);
  await himalia.machine.begin();
  parts.socket.welcome();
  await parts.clock.pass(1000);
  return himalia;
}

describe('what a room asks about the project', () => {
  const question = { path: 'environment', topics: ['environment.'] };

  it('is asked once, and again when events or a saved file change it', async () => {
    const parts = new Parts();
    let state = 'building';
    parts.answers['projects/flights/environment'] = () => ({ state });
    const himalia = await opened(parts);
    const { store } = himalia;
    expect(store?.part(question).value).toBeNull();
    store?.part(question);
    await parts.clock.pass(0);
    expect(store?.part(question).value).toEqual({ state: 'building' });
    const asked = () => parts.asked.filter(path => path.endsWith('/environment')).length;
    expect(asked()).toBe(1);
    state = 'ready';
    parts.socket.say(event(1, 'environment.ready', 'b'));
    parts.socket.say(event(2, 'cluster.state', 'local'));
    await parts.clock.pass(100);
    expect(store?.part(question).value).toEqual({ state: 'ready' });
    expect(asked()).toBe(2);
  });

  it('is not asked again once nobody wants it any more', async () => {
    const parts = new Parts();
    parts.answers['projects/flights/environment'] = () => ({ state: 'ready' });
    const { store } = await opened(parts);
    store?.part(question);
    store?.drop(question); // its answer is still to come
    await parts.clock.pass(0);
    parts.socket.say(event(1, 'environment.ready', 'b'));
    await parts.clock.pass(100);
    expect(parts.asked.filter(path => path.endsWith('/environment'))).toHaveLength(1);
    expect(store?.part(question).value).toBeNull();
  });

  it('keeps the last answer beside a problem', async () => {
    const parts = new Parts();
    parts.answers['projects/flights/environment'] = () => ({ state: 'ready' });
    const { store } = await opened(parts);
    store?.part(question);
    await parts.clock.pass(0);
    delete parts.answers['projects/flights/environment'];
    parts.socket.say(event(1, 'environment.failed', 'b'));
    await parts.clock.pass(100);
    const { value, problem } = store?.part(question) ?? {};
    expect(value).toEqual({ state: 'ready' });
    expect(problem?.message).toContain('no projects/flights/environment');
  });
});
