import type * as nbformat from '@jupyterlab/nbformat';

/** Files that a notebook names, as far as its code tells. */
export interface IFound {
  inputs: string[];
  outputs: string[];
}

/** A text in quotes that may name a file: it has an ending, and no blank or sign that files seldom have. */
const LITERAL =
  /(?<![\w])[rf]?(['"])([\w][\w .\-/]*\.[A-Za-z][A-Za-z0-9]{0,7}(?:\.[a-z]{2,3})?)\1/g;
const ENDINGS =
  /\.(csv|tsv|parquet|feather|arrow|json|jsonl|xlsx?|txt|npy|npz|pkl|pickle|joblib|h5|hdf5|nc|zarr|db|sqlite|png|jpe?g|svg|pdf|html|md|ya?ml|onnx|pt|zip|gz|tar|bz2|xz|geojson|gpkg|avro|orc)$/i;
const WRITES =
  /\.to_(?!numpy|list|dict|frame|datetime|records|string)\w+\(|write_(text|bytes)\(|savefig\(|\bdump\(|\.save\w*\(|np\.savez?\w*\(|\bwrite\w*\(|open\([^)]*,\s*['"][wax]b?\+?['"]/;

/**
 * What a notebook reads and writes.
 *
 * @param made - outputs of other stages: a path that is one of them is an input
 */
export function suggestFiles(notebook: nbformat.INotebookContent, made: readonly string[]): IFound {
  const inputs = new Set<string>();
  const outputs = new Set<string>();
  for (const cell of notebook.cells) {
    if (cell.cell_type !== 'code') {
      continue;
    }
    const source = Array.isArray(cell.source) ? cell.source.join('') : cell.source;
    for (const line of source.split('\n')) {
      const code = line.replace(/^\s*#.*$/, '');
      for (const match of code.matchAll(LITERAL)) {
        const path = match[2].replace(/^\.\//, '');
        if (!ENDINGS.test(path) || path.startsWith('/') || path.includes('..')) {
          continue;
        }
        if (WRITES.test(code) && !made.includes(path)) {
          outputs.add(path);
        } else if (!outputs.has(path)) {
          inputs.add(path);
        }
      }
    }
  }
  return { inputs: [...inputs].filter(path => !outputs.has(path)), outputs: [...outputs] };
}
