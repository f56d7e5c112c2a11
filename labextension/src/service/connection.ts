import type { Connection, IProblem } from '../tokens';
import { backoff, Timers } from './clock';
import type {
  IConnectionListener,
  IConnectionParts,
  IServiceEvent,
  IServiceFacts,
  ISocket
} from './protocol';

/** Milliseconds. */
const HIDDEN_GRACE = 5_000;
const SILENCE = 60_000;
const WATCH = 10_000;
const PATIENCE = 20_000;
/** A refused socket is accepted first and closed at once: only one that stays open is live. */
const SETTLE = 200;

/**
 * No event has this number, so the service says "reset" at once: from then on nothing is missed, and what is read
 * from then on is not older than the events that follow.
 */
const FROM_NOW = Number.MAX_SAFE_INTEGER;

const STOPPED = 4503;
const NEWER = 4409;
const NOT_ALLOWED = 4401;

/**
 * Keeps one connection for events while the page is visible.
 *
 * Each try has a number; whatever comes from an earlier try is ignored.
 */
export class ConnectionMachine {
  /** Whether a stopped service is started when the page is loaded. */
  startsService = true;

  constructor(
    private readonly _parts: IConnectionParts,
    private readonly _listener: IConnectionListener
  ) {
    this._timers = new Timers(_parts.clock);
  }

  get state(): Connection {
    return this._state;
  }

  get problem(): IProblem | null {
    return this._problem;
  }

  get facts(): IServiceFacts | null {
    return this._facts;
  }

  /** Whether a connection is wanted at all. */
  get begun(): boolean {
    return this._begun;
  }

  /** The page stands: look, start the service when it is wanted, follow. */
  async begin(): Promise<void> {
    this._begun = true;
    this._mayStart = true;
    if (!this._parts.hidden()) {
      await this._try();
    }
  }

  /** Start the service when there is none, and connect. */
  async start(): Promise<void> {
    this._begun = true;
    const mine = this._next();
    await this._start(mine, () => this._parts.start());
  }

  /** The page was hidden or shown. */
  visibilityChanged(): void {
    if (!this._begun || this._disposed) {
      return;
    }
    this._timers.clear('hiding');
    if (this._parts.hidden()) {
      this._timers.later('hiding', HIDDEN_GRACE, () => this._rest());
    } else if (this._socket) {
      this._watch();
    } else if (!this._busy) {
      void this.retry();
    }
  }

  /** The network is back. */
  online(): void {
    const waits = this._state === 'lost' || this._state === 'connecting';
    if (this._begun && waits && !this._parts.hidden()) {
      void this.retry();
    }
  }

  /** Do not wait any longer: look now. */
  retry(): Promise<void> {
    this._failures = 0;
    return this._try();
  }

  dispose(): void {
    this._disposed = true;
    this._next();
    this._timers.clear('hiding');
  }

  private async _try(): Promise<void> {
    const mine = this._next();
    this._busy = true;
    this._timers.later('patience', PATIENCE, () => this._again(null));
    let facts: IServiceFacts;
    try {
      facts = await this._parts.look();
    } catch (error) {
      if (this._isCurrent(mine)) {
        this._failed(error);
      }
      return;
    }
    if (this._isCurrent(mine)) {
      await this._act(mine, facts);
    }
  }

  private async _act(mine: number, facts: IServiceFacts): Promise<void> {
    this._learn(facts);
    const asked = this._mayStart && this.startsService;
    if (facts.state === 'running') {
      this._follow(mine);
    } else if (facts.state === 'starting' || asked) {
      await this._start(mine, () => this._parts.start());
    } else if (facts.crashed) {
      await this._start(mine, () => this._parts.wake());
    } else {
      this._end('stopped');
    }
  }

  private async _start(mine: number, act: () => Promise<unknown>): Promise<void> {
    this._mayStart = false;
    this._busy = true;
    this._timers.clear('patience');
    this._set('starting');
    try {
      await act();
      const facts = await this._parts.look();
      if (this._isCurrent(mine)) {
        this._learn(facts);
        this._follow(mine);
      }
    } catch (error) {
      if (this._isCurrent(mine)) {
        this._failed(error, true);
      }
    }
  }

  private _follow(mine: number): void {
    this._mayStart = false;
    if (this._parts.hidden()) {
      this._busy = false;
      return; // opened when it is seen
    }
    this._busy = true;
    this._timers.later('patience', PATIENCE, () => this._again(null));
    const socket = this._parts.open(this._after ?? FROM_NOW);
    this._socket = socket;
    socket.onopen = () => {
      if (this._isCurrent(mine)) {
        this._heard = this._parts.clock.now();
        this._watch();
        if (this._after !== null) {
          this._timers.later('settle', SETTLE, () => this._live());
        }
      }
    };
    socket.onmessage = message => {
      if (this._isCurrent(mine)) {
        this._heard = this._parts.clock.now();
        this._live();
        this._receive(message.data);
      }
    };
    socket.onclose = event => {
      if (this._isCurrent(mine)) {
        this._socket = null;
        this._closed(event.code);
      }
    };
  }

  private _live(): void {
    if (!this._busy) {
      return;
    }
    this._busy = false;
    this._failures = 0;
    this._timers.clear('settle');
    this._timers.clear('patience');
    this._set('live');
  }

  private _receive(text: unknown): void {
    let message: Partial<IServiceEvent> & { reset?: boolean };
    try {
      message = JSON.parse(String(text)) as typeof message;
    } catch {
      return; // not ours
    }
    if (message.reset) {
      this._after = null;
      this._listener.stale();
    } else if (typeof message.seq === 'number' && typeof message.topic === 'string') {
      this._after = message.seq;
      this._listener.event(message as IServiceEvent);
    }
  }

  private _closed(code: number): void {
    if (code === STOPPED) {
      this._end('stopped');
    } else if (code === NEWER) {
      this._end('newer');
    } else if (code === NOT_ALLOWED) {
      this._end('refused');
    } else {
      this._again(null);
    }
  }

  private _failed(error: unknown, starting = false): void {
    const problem = this._parts.explain(error);
    if (problem.status === 401 || problem.status === 403) {
      this._end('refused', problem);
    } else if (problem.status === 409) {
      this._end('newer', problem);
    } else if (problem.service === 'stopped' || (starting && problem.status > 0)) {
      this._end('stopped', problem);
    } else if (problem.status === 404) {
      this._end('lost', problem); // the extension is not there: asking again does not help
    } else {
      this._again(problem);
    }
  }

  /** Try again: at once the first time, then after longer and longer waits. */
  private _again(problem: IProblem | null): void {
    this._next();
    const wait = backoff(this._failures, this._parts.clock.random());
    this._set(this._failures === 0 && !problem ? 'connecting' : 'lost', problem);
    this._failures += 1;
    if (!this._parts.hidden()) {
      this._timers.later('retry', wait, () => void this._try());
    }
  }

  /** Nothing more happens by itself. */
  private _end(state: Connection, problem: IProblem | null = null): void {
    this._next();
    this._set(state, problem);
  }

  /** Nobody looks: let go. */
  private _rest(): void {
    if (this._socket || this._timers.has('retry')) {
      this._next();
    }
  }

  /** Look now and then whether the other side still gives signs of life: a sleeping laptop's does not. */
  private _watch(): void {
    if (this._parts.clock.now() - this._heard > SILENCE) {
      this._again(null);
      return;
    }
    this._timers.later('watch', WATCH, () => this._watch());
  }

  private _learn(facts: IServiceFacts): void {
    if (this._facts && this._facts.site !== facts.site && facts.site !== null) {
      this._after = null; // another site: its events have other numbers
    }
    this._facts = facts;
  }

  private _set(state: Connection, problem: IProblem | null = null): void {
    this._state = state;
    this._problem = problem;
    this._listener.changed();
  }

  /** Begin a new try: what is under way no longer counts. */
  private _next(): number {
    this._busy = false;
    this._timers.clear('settle', 'watch', 'retry', 'patience');
    const socket = this._socket;
    this._socket = null;
    this._current += 1;
    socket?.close();
    return this._current;
  }

  private _isCurrent(mine: number): boolean {
    return mine === this._current && !this._disposed;
  }

  private _after: number | null = null;
  private _begun = false;
  private _busy = false;
  private _current = 0;
  private _disposed = false;
  private _facts: IServiceFacts | null = null;
  private _failures = 0;
  private _heard = 0;
  private _mayStart = false;
  private _problem: IProblem | null = null;
  private _socket: ISocket | null = null;
  private _state: Connection = 'connecting';
  private readonly _timers: Timers;
}
