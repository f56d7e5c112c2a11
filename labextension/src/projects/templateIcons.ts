import { LabIcon } from '@jupyterlab/ui-components';

function picture(name: string, shapes: string): LabIcon {
  const svgstr =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 40" fill="none" stroke="currentColor" ' +
    `stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${shapes}</svg>`;
  return new LabIcon({ name: `himalia:template-${name}`, svgstr });
}

const dots = (points: [number, number][], filled: boolean): string =>
  points
    .map(([x, y]) => `<circle cx="${x}" cy="${y}" r="2.2"${filled ? ' fill="currentColor"' : ''}/>`)
    .join('');

const PICTURES: Record<string, LabIcon> = {
  blank: picture('blank', '<path d="M26 5h14l7 7v23H26zM40 5v7h7M31 20h11M31 26h11"/>'),
  classification: picture(
    'classification',
    dots(
      [
        [16, 11],
        [23, 17],
        [28, 9],
        [17, 22],
        [31, 16]
      ],
      true
    ) +
      dots(
        [
          [42, 30],
          [50, 24],
          [55, 31],
          [48, 34],
          [57, 22]
        ],
        false
      ) +
      '<path d="M20 36 54 4" stroke-dasharray="4 4"/>'
  ),
  regression: picture(
    'regression',
    dots(
      [
        [17, 31],
        [24, 25],
        [32, 27],
        [38, 18],
        [46, 19],
        [54, 9]
      ],
      true
    ) + '<path d="M12 34 60 7"/>'
  ),
  search: picture(
    'search',
    '<path d="M12 33C20 33 20 20 28 20S36 26 60 26M12 33C22 33 24 12 36 12S48 16 60 16M12 33C26 33 26 6 40 6h20"/>' +
      dots([[60, 6]], true) +
      dots(
        [
          [60, 16],
          [60, 26]
        ],
        false
      )
  ),
  flights: picture(
    'flights',
    '<path d="M10 34C24 34 34 26 44 16" stroke-dasharray="3 4"/>' +
      '<path d="m44 16-9-3 2-3 12 1 8-7c2-2 6-2 4 2l-7 8 1 12-3 2-4-9z" fill="currentColor" stroke="none"/>'
  ),
  team: picture('team', '<path d="M36 5 54 13v15l-18 8-18-8V13zM18 13l18 8 18-8M36 21v15"/>')
};

/** The picture of a template, by its name; a box for those of a team. */
export function templateIcon(name: string): LabIcon {
  const key = Object.keys(PICTURES).find(known => name.includes(known));
  return PICTURES[key ?? 'team'];
}
