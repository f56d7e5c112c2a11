import { DisposableDelegate, IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import type { ISection } from '../tokens';

/** The sections that rooms have added, in their order; which are folded, and which one to bring into view. */
export class Sections {
  get items(): readonly ISection[] {
    return this._items;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Ids of folded sections. */
  get folded(): readonly string[] {
    return [...this._folded];
  }

  /** The section to bring into view; the panel takes it once. */
  takeWanted(): string | null {
    const wanted = this._wanted;
    this._wanted = null;
    return wanted;
  }

  add(section: ISection): IDisposable {
    this._items = [...this._items.filter(({ id }) => id !== section.id), section].sort(
      (a, b) => a.rank - b.rank
    );
    this._changed.emit();
    return new DisposableDelegate(() => {
      this._items = this._items.filter(item => item !== section);
      this._changed.emit();
    });
  }

  isFolded(id: string): boolean {
    return this._folded.has(id);
  }

  fold(id: string, folded: boolean): void {
    if (folded) {
      this._folded.add(id);
    } else {
      this._folded.delete(id);
    }
    this._changed.emit();
  }

  /** What was folded when the page was left. */
  restore(folded: readonly string[]): void {
    this._folded = new Set(folded);
    this._changed.emit();
  }

  /** Unfold a section and bring it into view. */
  want(id: string): void {
    this._wanted = id;
    this.fold(id, false);
  }

  private readonly _changed = new Signal<this, void>(this);
  private _folded = new Set<string>();
  private _items: readonly ISection[] = [];
  private _wanted: string | null = null;
}
