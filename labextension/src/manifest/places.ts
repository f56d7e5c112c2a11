/** A place in a text as the service counts it: line and column from 1, columns in characters. */
export interface IPlace {
  line: number;
  column: number;
}

/** The place of an offset. JavaScript counts UTF-16 units, of which some characters take two. */
export function placeOf(text: string, offset: number): IPlace {
  const before = text.slice(0, offset);
  const begin = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  return { line, column: [...before.slice(begin)].length + 1 };
}

/** The offset of a place; of the nearest one when there is none such. */
export function offsetOf(text: string, { line, column }: IPlace): number {
  const lines = text.split('\n');
  const number = Math.min(Math.max(line, 1), lines.length);
  const begin = lines.slice(0, number - 1).reduce((sum, { length }) => sum + length + 1, 0);
  const characters = [...lines[number - 1]].slice(0, Math.max(0, column - 1));
  return begin + characters.join('').length;
}
