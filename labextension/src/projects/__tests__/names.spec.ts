import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import { freeName, nameFault, suggestName } from '../names';
import { orderProjects } from '../recent';
import { Sections } from '../sections';

const trans = nullTranslator.load('himalia');

describe('names of projects', () => {
  it.each(['ab', 'nyc-flights', '2024', 'a'.repeat(63)])('%s will do', name => {
    expect(nameFault(name, [], trans)).toBeNull();
  });

  it.each(['', 'a', '-ab', 'ab-', 'Ab', 'a_b', 'default', 'a'.repeat(64), 'a b'])(
    "'%s' will not do",
    name => {
      expect(nameFault(name, [], trans)).not.toBeNull();
    }
  );

  it('are told when they are taken', () => {
    expect(nameFault('flights', ['flights'], trans)).toContain('already');
    expect(freeName('flights', ['flights', 'flights-2'])).toBe('flights-3');
  });

  it.each([
    ['My Project', 'my-project'],
    ['  Déjà vu! ', 'deja-vu'],
    ['ÆØ', null],
    ['Default', null]
  ])("'%s' becomes %s", (name, better) => {
    expect(suggestName(name)).toBe(better);
  });
});

describe('the list to choose from', () => {
  const projects = ['one', 'two', 'three'].map(slug => ({ slug, description: `about ${slug}` }));

  it('has the recent ones first', () => {
    const order = orderProjects(projects, ['three', 'gone', 'two'], '');
    expect(order.map(({ slug }) => slug)).toEqual(['three', 'two', 'one']);
  });

  it('is filtered by all words, in name or description', () => {
    const order = orderProjects(projects, [], 'ABOUT t');
    expect(order.map(({ slug }) => slug)).toEqual(['one', 'two', 'three']);
    expect(orderProjects(projects, [], 'thr about').map(({ slug }) => slug)).toEqual(['three']);
  });
});

describe('sections', () => {
  const section = (id: string, rank: number) => ({
    id,
    rank,
    title: id,
    render: () => null as never
  });

  it('come and go, in the order of their ranks', () => {
    const sections = new Sections();
    sections.add(section('b', 20));
    const first = sections.add(section('a', 10));
    expect(sections.items.map(({ id }) => id)).toEqual(['a', 'b']);
    first.dispose();
    expect(sections.items.map(({ id }) => id)).toEqual(['b']);
  });

  it('are unfolded when they are wanted, once', () => {
    const sections = new Sections();
    sections.restore(['runs']);
    sections.want('runs');
    expect([sections.isFolded('runs'), sections.takeWanted(), sections.takeWanted()]).toEqual([
      false,
      'runs',
      null
    ]);
  });
});
