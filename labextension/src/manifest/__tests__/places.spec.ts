import { describe, expect, it } from 'vitest';

import { offsetOf, placeOf } from '../places';
import { isManifest, projectOf } from '../question';
import type { IHimalia } from '../../tokens';

const text = 'a = 1\nname = "🏔 x"\n';

describe('places', () => {
  it.each([0, 3, 5, 6, 14, text.length])('come back as the offset %i that they are of', offset => {
    expect(offsetOf(text, placeOf(text, offset))).toBe(offset);
  });

  it('count characters, of which some take two units', () => {
    expect(placeOf(text, text.indexOf('x'))).toEqual({ line: 2, column: 11 });
  });

  it('beyond the end are the nearest ones', () => {
    expect(offsetOf(text, { line: 1, column: 99 })).toBe(5);
    expect(offsetOf(text, { line: 99, column: 1 })).toBe(text.length);
    expect(offsetOf(text, { line: 0, column: 0 })).toBe(0);
  });
});

describe('a manifest', () => {
  it('belongs to the project in whose folder it lies, and to no other', () => {
    const projects = ['flights', 'flights/old'].map(slug => ({ slug, path: `/home/ada/${slug}` }));
    const himalia = { root: '/home/ada', projects } as unknown as IHimalia;
    expect(projectOf(himalia, 'flights/himalia.toml')?.slug).toBe('flights');
    expect(projectOf(himalia, 'flights/old/himalia.toml')?.slug).toBe('flights/old');
    expect(projectOf(himalia, 'himalia.toml')).toBeNull();
    expect(isManifest('flights/himalia.toml.bak')).toBe(false);
  });
});
