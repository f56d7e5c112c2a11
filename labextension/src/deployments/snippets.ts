import { Invocation } from './invocation';

/** The command that makes a token for an endpoint. */
export function tokenCommand(name: string, slug: string): string {
  return `himalia deployment token ${name} --project ${slug} --label "my application"`;
}

/** Ask an endpoint from a shell. The token comes from the variable TOKEN. */
export function curlSnippet(url: string, document: Invocation): string {
  const body = JSON.stringify(document).replace(/'/g, `'\\''`);
  return [
    `curl -X POST ${url} \\`,
    '  -H "Authorization: Bearer $TOKEN" \\',
    "  -H 'Content-Type: application/json' \\",
    `  -d '${body}'`
  ].join('\n');
}

/** Ask an endpoint from Python. The token comes from the variable TOKEN. */
export function pythonSnippet(url: string, document: Invocation): string {
  return [
    'import os',
    'import requests',
    '',
    'answer = requests.post(',
    `    ${JSON.stringify(url)},`,
    '    headers={"Authorization": "Bearer " + os.environ["TOKEN"]},',
    `    json=${pythonLiteral(document, '    ')},`,
    ')',
    'answer.raise_for_status()',
    'print(answer.json()["predictions"])'
  ].join('\n');
}

/** A JSON value as Python writes it. Lists of plain values stay on one line. */
function pythonLiteral(value: unknown, indent: string): string {
  const deeper = indent + '    ';
  if (Array.isArray(value)) {
    const plain = value.every(item => typeof item !== 'object' || item === null);
    const items = value.map(item => pythonLiteral(item, deeper));
    return plain || value.length === 1
      ? `[${items.join(', ')}]`
      : `[\n${items.map(item => deeper + item + ',\n').join('')}${indent}]`;
  }
  if (typeof value === 'object' && value !== null) {
    const items = Object.entries(value).map(
      ([key, item]) => `${deeper}${JSON.stringify(key)}: ${pythonLiteral(item, deeper)},\n`
    );
    return `{\n${items.join('')}${indent}}`;
  }
  if (value === null || value === undefined) {
    return 'None';
  }
  return typeof value === 'boolean' ? (value ? 'True' : 'False') : JSON.stringify(value);
}
