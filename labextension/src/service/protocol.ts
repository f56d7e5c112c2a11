import type { IProblem } from '../tokens';
import type { IClock } from './clock';

/** What the extension tells about the service of this site. */
export interface IServiceFacts {
  state: 'running' | 'starting' | 'stopped';
  /** The service's version; null when none runs. */
  version: string | null;
  extension: string;
  site: string | null;
  /** The absolute path of what the file browser shows as its root; null when it shows no files. */
  root: string | null;
  user: string;
  crashed: boolean;
}

/** One change of state, as the service tells it. */
export interface IServiceEvent {
  seq: number;
  /** UTC seconds. */
  at: number;
  topic: string;
  project: string | null;
  subject: string | null;
  data: Record<string, unknown>;
}

/** The part of a WebSocket that is used. */
export interface ISocket {
  onopen: ((event: Event) => unknown) | null;
  onmessage: ((event: MessageEvent) => unknown) | null;
  onclose: ((event: CloseEvent) => unknown) | null;
  close(): void;
}

/** What the machine stands on; tests put their own in its place. */
export interface IConnectionParts {
  /** Ask how the service is. */
  look(): Promise<IServiceFacts>;
  /** Start it when there is none; answers when it runs. */
  start(): Promise<IServiceFacts>;
  /** Have a crashed service started again, as often as the extension finds right; answers when it runs. */
  wake(): Promise<unknown>;
  /** Follow the events after this number. */
  open(after: number): ISocket;
  /** What an error means. */
  explain(error: unknown): IProblem & { service?: string };
  hidden(): boolean;
  clock: IClock;
}

/** Who hears of it. */
export interface IConnectionListener {
  /** State, problem or facts changed. */
  changed(): void;
  event(event: IServiceEvent): void;
  /** Events may have been missed: read everything again. */
  stale(): void;
}
