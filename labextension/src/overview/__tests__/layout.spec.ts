import { describe, expect, it } from 'vitest';

import { NODE, edgeKey, layOut } from '../layout';

const names = ['prepare', 'train', 'evaluate'];
const edges = [
  { from: 'prepare', to: 'train' },
  { from: 'train', to: 'evaluate' },
  { from: 'prepare', to: 'evaluate' }
];

describe('layOut', () => {
  it('goes from left to right where there is room', () => {
    const { nodes, width } = layOut(names, edges, 2000);
    const xs = names.map(name => nodes.get(name)!.x);
    expect(xs[0] + NODE.width).toBeLessThan(xs[1]);
    expect(xs[1] + NODE.width).toBeLessThan(xs[2]);
    expect(xs[2] + NODE.width).toBeLessThanOrEqual(width);
  });

  it('goes from top to bottom where there is none', () => {
    const { nodes, width } = layOut(names, edges, 500);
    const ys = names.map(name => nodes.get(name)!.y);
    expect(ys[0] + NODE.height).toBeLessThan(ys[1]);
    expect(ys[1] + NODE.height).toBeLessThan(ys[2]);
    expect(width).toBeLessThanOrEqual(500);
  });

  it('ends edges at the sides of the nodes', () => {
    const drawn = layOut(names, edges, 2000);
    const points = drawn.edges.get(edgeKey('prepare', 'train'))!;
    const from = drawn.nodes.get('prepare')!;
    expect(points[0]).toEqual({ x: from.x + NODE.width, y: from.y + NODE.height / 2 });
    expect(points[points.length - 1].x).toBe(drawn.nodes.get('train')!.x);
  });

  it('does not let nodes overlap', () => {
    const many = Array.from({ length: 9 }, (_, index) => `s${index}`);
    const fan = many.slice(1).map(to => ({ from: 's0', to }));
    const places = [...layOut(many, fan, 3000).nodes.values()];
    for (const [index, a] of places.entries()) {
      for (const b of places.slice(index + 1)) {
        const apart = Math.abs(a.x - b.x) >= NODE.width || Math.abs(a.y - b.y) >= NODE.height;
        expect(apart).toBe(true);
      }
    }
  });
});
