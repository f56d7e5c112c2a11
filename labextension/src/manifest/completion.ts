import { CompletionHandler, ICompletionContext, ICompletionProvider } from '@jupyterlab/completer';
import { DocumentWidget } from '@jupyterlab/docregistry';

import type { Completion } from '../api/types';
import type { IHimalia } from '../tokens';
import { offsetOf, placeOf } from './places';
import { isManifest, projectOf } from './question';

/** Completes keys, stages, files and clusters in himalia.toml, as the service knows them. */
export class ManifestCompletion implements ICompletionProvider {
  readonly identifier = 'himalia:manifest';
  /** Before words of the file. */
  readonly rank = 1000;

  constructor(private readonly _himalia: IHimalia) {}

  async isApplicable(context: ICompletionContext): Promise<boolean> {
    return pathOf(context) !== null && this._himalia.connection === 'live';
  }

  async fetch(
    request: CompletionHandler.IRequest,
    context: ICompletionContext
  ): Promise<CompletionHandler.ICompletionItemsReply> {
    const { text, offset } = request;
    const project = projectOf(this._himalia, pathOf(context) ?? '')?.slug ?? null;
    const answer = await this._himalia.request<Completion>('POST', 'manifest/complete', {
      text,
      project,
      ...placeOf(text, offset)
    });
    const { line, column, end_column: end } = answer;
    return {
      start: offsetOf(text, { line, column }),
      end: offsetOf(text, { line, column: end }),
      items: answer.items.map(({ label, insert, kind, detail }) => ({
        label,
        insertText: insert,
        type: kind,
        documentation: detail || undefined
      }))
    };
  }
}

function pathOf({ widget }: ICompletionContext): string | null {
  const path = widget instanceof DocumentWidget ? widget.context.path : '';
  return isManifest(path) ? path : null;
}
