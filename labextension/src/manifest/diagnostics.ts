import { Diagnostic, linter, lintGutter } from '@codemirror/lint';
import { CodeMirrorEditor } from '@jupyterlab/codemirror';
import { FileEditor } from '@jupyterlab/fileeditor';
import { IDocumentWidget } from '@jupyterlab/docregistry';

import type { ManifestProblem } from '../api/types';
import type { IHimalia } from '../tokens';
import { offsetOf } from './places';
import { MANIFEST, projectOf } from './question';

/** Milliseconds without a key before the text is looked at. */
const DELAY = 400;

/** Underline in an editor what is wrong with the manifest in it, while it is being written. */
export function underlineProblems(widget: IDocumentWidget<FileEditor>, himalia: IHimalia): void {
  const { editor } = widget.content;
  if (!(editor instanceof CodeMirrorEditor)) {
    return;
  }
  const look = async (text: string): Promise<Diagnostic[]> => {
    if (himalia.connection !== 'live') {
      return [];
    }
    const project = projectOf(himalia, widget.context.path)?.slug ?? null;
    try {
      const { items } = await himalia.request<{ items: ManifestProblem[] }>(
        'POST',
        'manifest/check',
        { text, project }
      );
      return items.filter(({ file }) => file === MANIFEST).map(item => diagnostic(text, item));
    } catch {
      return []; // the connection's state is told elsewhere; nothing is wrong with the text
    }
  };
  editor.injectExtension([
    linter(view => look(view.state.doc.toString()), { delay: DELAY }),
    lintGutter()
  ]);
}

function diagnostic(text: string, problem: ManifestProblem): Diagnostic {
  const { line, column, end_column: end, severity } = problem;
  const from = offsetOf(text, { line, column });
  const to = Math.max(from, offsetOf(text, { line, column: end }));
  const message = [problem.message, problem.hint].filter(Boolean).join('. ');
  return { from, to, severity, message, source: MANIFEST };
}
