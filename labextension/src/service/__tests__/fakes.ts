import type { IClock } from '../clock';
import type { IConnectionParts, IServiceEvent, IServiceFacts, ISocket } from '../protocol';

/** A clock that moves only when it is told to. */
export class FakeClock implements IClock {
  random = (): number => 0.5;

  now(): number {
    return this._now;
  }

  setTimeout(act: () => void, milliseconds: number): number {
    this._timers.set(++this._last, { act, due: this._now + milliseconds });
    return this._last;
  }

  clearTimeout(timer: number): void {
    this._timers.delete(timer);
  }

  /** Milliseconds until timers that wait. */
  get waits(): number[] {
    return [...this._timers.values()].map(({ due }) => due - this._now).sort((a, b) => a - b);
  }

  /** Let time pass, running what falls due, one after the other. */
  async pass(milliseconds: number): Promise<void> {
    const end = this._now + milliseconds;
    await settle();
    for (;;) {
      const next = [...this._timers.entries()].sort((a, b) => a[1].due - b[1].due)[0];
      if (!next || next[1].due > end) {
        break;
      }
      this._timers.delete(next[0]);
      this._now = Math.max(this._now, next[1].due);
      next[1].act();
      await settle();
    }
    this._now = end;
  }

  /** The machine sleeps: time passes and no timer runs. */
  sleep(milliseconds: number): void {
    this._now += milliseconds;
  }

  private _last = 0;
  private _now = 1_000_000;
  private readonly _timers = new Map<number, { act: () => void; due: number }>();
}

/** Let promises that are resolved already go on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await Promise.resolve();
  }
}

/** A socket whose other side is the test. */
export class FakeSocket implements ISocket {
  onopen: ISocket['onopen'] = null;
  onmessage: ISocket['onmessage'] = null;
  onclose: ISocket['onclose'] = null;
  closed = false;

  constructor(readonly after: number) {}

  close(): void {
    this.closed = true;
  }

  /** The server takes it, and says that what was known is too old, as it does for a new page. */
  welcome(): void {
    this.onopen?.(new Event('open'));
    this.say({ reset: true });
  }

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }

  end(code: number): void {
    this.onclose?.({ code } as CloseEvent);
  }
}

/** What the extension tells. */
export function facts(change: Partial<IServiceFacts> = {}): IServiceFacts {
  return {
    state: 'running',
    version: '1.0',
    extension: '1.0',
    site: 'abc',
    root: '/home/ada',
    user: 'ada',
    crashed: false,
    ...change
  };
}

/** An event. */
export function event(
  seq: number,
  topic: string,
  subject: string | null,
  data: Record<string, unknown> = {},
  project: string | null = 'flights'
): IServiceEvent {
  return { seq, at: 1000 + seq, topic, project, subject, data };
}

/** Everything that the connection stands on; what is asked is counted. */
export class FakeParts implements IConnectionParts {
  clock = new FakeClock();
  sockets: FakeSocket[] = [];
  looks = 0;
  starts = 0;
  wakes = 0;
  isHidden = false;
  answer: () => Promise<IServiceFacts> = () => Promise.resolve(facts());
  onStart: () => Promise<IServiceFacts> = () => {
    this.answer = () => Promise.resolve(facts());
    return this.answer();
  };

  get socket(): FakeSocket {
    return this.sockets[this.sockets.length - 1];
  }

  look(): Promise<IServiceFacts> {
    this.looks += 1;
    return this.answer();
  }

  start(): Promise<IServiceFacts> {
    this.starts += 1;
    return this.onStart();
  }

  wake(): Promise<unknown> {
    this.wakes += 1;
    return this.onStart();
  }

  open(after: number): FakeSocket {
    const socket = new FakeSocket(after);
    this.sockets.push(socket);
    return socket;
  }

  explain(error: unknown): { message: string; hint: string; status: number; service?: string } {
    const {
      message,
      status = 0,
      service = ''
    } = error as Error & {
      status?: number;
      service?: string;
    };
    return { message, hint: '', status, service };
  }

  hidden(): boolean {
    return this.isHidden;
  }
}

/** An answer that the test gives when it likes. */
export class Later<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}
