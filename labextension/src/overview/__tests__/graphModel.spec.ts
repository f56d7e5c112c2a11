import { describe, expect, it } from 'vitest';

import { Project, StageRun } from '../../api/types';
import { graphEdges, stageProgress } from '../graphModel';

function project(...stages: [string, string[], string[], string[]][]): Project {
  return {
    stages: stages.map(([name, inputs, outputs, waits_for]) => ({
      name,
      inputs,
      outputs,
      waits_for,
      notebook: `${name}.ipynb`,
      cluster: null
    }))
  } as unknown as Project;
}

describe('graphEdges', () => {
  it('name the files that they carry', () => {
    const edges = graphEdges(
      project(
        ['a', [], ['build/x.csv', 'build/y.csv', 'parts/'], []],
        ['b', ['build/x.csv'], [], ['a']],
        ['c', ['build/*.csv'], [], ['a']],
        ['d', ['parts/1.csv'], [], ['a']]
      )
    );
    expect(edges).toEqual([
      { from: 'a', to: 'b', files: ['build/x.csv'] },
      { from: 'a', to: 'c', files: ['build/x.csv', 'build/y.csv'] },
      { from: 'a', to: 'd', files: ['parts/'] }
    ]);
  });

  it('leave out stages that are not there', () => {
    expect(graphEdges(project(['b', [], [], ['gone']]))).toEqual([]);
  });
});

describe('stageProgress', () => {
  const stage = (status: string, cell: number, cells: number) =>
    ({ status, cell, cells }) as StageRun;

  it('is between nothing and all', () => {
    expect(stageProgress(stage('running', 4, 9))).toBeCloseTo(3.5 / 9);
    expect(stageProgress(stage('running', 0, 9))).toBe(0);
    expect(stageProgress(stage('running', 99, 9))).toBe(1);
  });

  it('is not known for stages that do not run', () => {
    expect(stageProgress(stage('running', 0, 0))).toBeNull();
    expect(stageProgress(stage('succeeded', 9, 9))).toBeNull();
    expect(stageProgress(null)).toBeNull();
  });
});
