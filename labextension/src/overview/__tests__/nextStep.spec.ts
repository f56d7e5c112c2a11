import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import { Cluster, Deployment, Model, Project, Run, StageRun } from '../../api/types';
import { endpointName } from '../../deployments/names';
import { StepSource, nextStep } from '../nextStep';
import { progressText, stepWords } from '../nextStepWords';

const trans = nullTranslator.load('himalia');

function project(changes: Partial<Project> = {}): Project {
  const stage = { notebook: 'n.ipynb', inputs: [], outputs: [], waits_for: [] };
  return {
    slug: 'p',
    name: 'p',
    description: '',
    path: '/p',
    kernelspec: 'k',
    created_at: 1,
    role: 'owner',
    stages: [
      { ...stage, name: 'prepare', cluster: null },
      { ...stage, name: 'train', cluster: 'local' }
    ],
    problem: null,
    ...changes
  } as Project;
}

function stage(name: string, status: string, changes: Partial<StageRun> = {}): StageRun {
  return {
    name,
    status,
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
    ...changes
  };
}

function run(status: string, stages: StageRun[] = [], reason: string | null = null): Run {
  return {
    id: 'r1',
    project: 'p',
    kind: 'pipeline',
    trigger: 'person',
    options: { only: [], from: [], to: [], force: false, keep_going: false },
    code: {},
    origin: null,
    sweep: null,
    schedule: null,
    slot: null,
    warnings: [],
    status,
    reason,
    components: {},
    environment: null,
    snapshot: 's',
    created_by: 'ada',
    created_at: 1,
    started_at: 1,
    ended_at: null,
    stages
  };
}

function model(...versions: [string, string[]][]): Model {
  return {
    name: 'delay',
    versions: versions.map(([version, aliases]) => ({
      version,
      aliases,
      run_id: null,
      run_name: null,
      metrics: null,
      created_at: Number(version)
    }))
  };
}

function endpoint(version: string, state: string, requested: string | null = null): Deployment {
  return {
    name: 'delay',
    project: 'p',
    state,
    error: null,
    model_name: 'delay',
    model_version: version,
    requested_version: requested,
    url: null,
    signature: null,
    revisions: [],
    created_by: 'ada',
    created_at: 1
  };
}

function source(parts: {
  project?: Project;
  runs?: Run[] | null;
  clusters?: string[] | null;
  models?: Model[] | null;
  deployments?: Deployment[] | null;
}): StepSource {
  const slice = <T>(items: T[] | null | undefined) => ({
    items: items === undefined ? [] : items,
    problem: null
  });
  const clusters = parts.clusters === undefined ? ['local'] : parts.clusters;
  return {
    project: parts.project ?? project(),
    runs: slice(parts.runs),
    clusters: slice(clusters && clusters.map(name => ({ name }) as Cluster)),
    models: slice(parts.models),
    deployments: slice(parts.deployments)
  };
}

const done = run('succeeded');
const champion = model(['1', ['champion']]);

describe('nextStep', () => {
  it.each<[string, Parameters<typeof source>[0], object]>([
    [
      'mends the manifest before all',
      { project: project({ problem: 'line 3' }), runs: [run('running')] },
      { kind: 'mend-manifest', problem: 'line 3' }
    ],
    ['needs stages', { project: project({ stages: [] }) }, { kind: 'no-stages' }],
    ['does not guess before the runs are known', { runs: null }, { kind: 'loading' }],
    [
      'does not guess before the models are known',
      { runs: [done], models: null },
      { kind: 'loading' }
    ],
    ['runs', {}, { kind: 'run', missingCluster: null, again: false }],
    [
      'starts a cluster that a stage wants',
      { clusters: ['other'] },
      { kind: 'run', missingCluster: 'local' }
    ],
    ['does not guess before the clusters are known', { clusters: null }, { kind: 'loading' }],
    [
      'runs again after a cancelled run',
      { runs: [run('cancelled')] },
      { kind: 'run', again: true }
    ],
    [
      'goes on after a cancelled run of a project with a champion',
      { runs: [run('cancelled'), done], models: [champion], deployments: [endpoint('1', 'ready')] },
      { kind: 'ready' }
    ],
    [
      'tells of a run that is being cancelled',
      { runs: [run('running', [], 'cancelled by ada')] },
      { kind: 'cancelling' }
    ],
    [
      'tells of a failed run that no stage explains',
      { runs: [run('failed')] },
      { kind: 'failed', stage: null }
    ],
    ['names a run without a model', { runs: [done] }, { kind: 'no-model' }],
    [
      'makes the newest version the champion',
      { runs: [done], models: [model(['2', []], ['10', []])] },
      { kind: 'champion', version: '10' }
    ],
    [
      'does not need a run of its own for a model',
      { models: [model(['1', []])] },
      { kind: 'champion', version: '1' }
    ],
    [
      'deploys the champion',
      { runs: [done], models: [champion] },
      { kind: 'deploy', version: '1' }
    ],
    [
      'deploys the champion when another version answers',
      { runs: [done], models: [champion], deployments: [endpoint('2', 'ready')] },
      { kind: 'deploy', version: '1' }
    ],
    [
      'confirms what waits',
      { runs: [done], models: [champion], deployments: [endpoint('1', 'ready', '3')] },
      { kind: 'confirm', version: '3' }
    ],
    [
      'waits for an endpoint',
      { runs: [done], models: [champion], deployments: [endpoint('1', 'starting')] },
      { kind: 'deploying' }
    ],
    [
      'tells of an endpoint that failed',
      { runs: [done], models: [champion], deployments: [endpoint('1', 'failed')] },
      { kind: 'endpoint-failed' }
    ],
    [
      'is ready',
      { runs: [done], models: [champion], deployments: [endpoint('1', 'ready')] },
      { kind: 'ready', newer: null }
    ],
    [
      'is ready although the cluster has gone',
      { runs: [done], clusters: [], models: [champion], deployments: [endpoint('1', 'ready')] },
      { kind: 'ready' }
    ],
    [
      'offers a version newer than the champion',
      {
        runs: [done],
        models: [model(['1', ['champion']], ['2', []])],
        deployments: [endpoint('1', 'ready')]
      },
      { kind: 'ready', newer: { model: 'delay', version: '2' } }
    ]
  ])('%s', (_, parts, expected) => {
    expect(nextStep(source(parts))).toMatchObject(expected);
  });

  it('says where a run is', () => {
    const stages = [
      stage('prepare', 'succeeded'),
      stage('train', 'running', { cell: 4, cells: 9 })
    ];
    const step = nextStep(source({ runs: [run('running', stages)] }));
    expect(step).toMatchObject({ kind: 'running', position: 2 });
    const words = stepWords(step, 'owner', trans);
    expect(words.title).toBe('Stage 2 of 2: train, cell 4 of 9');
    expect(words.primary).toBeUndefined();
    expect(words.others.map(action => action.label)).toEqual(['Cancel']);
  });

  it('opens the notebook of the stage at fault, with its error and hint', () => {
    const stages = [
      stage('prepare', 'kernel_died', { notebook: true, error: 'No memory.', hint: 'Use less.' }),
      stage('train', 'upstream_failed')
    ];
    const step = nextStep(source({ runs: [run('failed', stages)] }));
    const words = stepWords(step, 'owner', trans);
    expect(words).toMatchObject({ detail: 'No memory.', hint: 'Use less.' });
    expect(words.primary).toMatchObject({
      label: 'Open the failed notebook',
      args: { run: 'r1', stage: 'prepare' }
    });
  });

  it('shows what the role may not do, with the reason', () => {
    const step = nextStep(source({ runs: [done], models: [model(['1', []])] }));
    expect(stepWords(step, 'contributor', trans).primary?.disabledReason).toContain('operator');
    expect(stepWords(step, 'operator', trans).primary?.disabledReason).toBeUndefined();
  });
});

describe('progressText', () => {
  it('is honest about stages that do not run yet', () => {
    expect(progressText(stage('a', 'waiting'), 1, 3, trans)).toBe('Stage 1 of 3: a, waiting');
    expect(progressText(stage('a', 'running'), 1, 3, trans)).toMatch(/kernel starts/);
    expect(progressText(null, 0, 0, trans)).toBe('The pipeline is running.');
  });
});

describe('endpointName', () => {
  it.each([
    ['flight-delay', 'flight-delay'],
    ['Flight_Delay 2', 'flight-delay-2'],
    ['_x_', 'x'],
    ['Ünï', 'n'],
    ['模型', 'endpoint']
  ])('%s → %s', (name, expected) => {
    expect(endpointName(name)).toBe(expected);
  });
});
