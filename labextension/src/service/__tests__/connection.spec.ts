import { beforeEach, describe, expect, it } from 'vitest';

import { backoff } from '../clock';
import { ConnectionMachine } from '../connection';
import type { IServiceEvent } from '../protocol';
import { event, facts, FakeParts, settle } from './fakes';

let parts: FakeParts;
let machine: ConnectionMachine;
let events: IServiceEvent[];
let stale: number;

beforeEach(() => {
  parts = new FakeParts();
  events = [];
  stale = 0;
  machine = new ConnectionMachine(parts, {
    changed: () => undefined,
    event: told => events.push(told),
    stale: () => (stale += 1)
  });
});

async function live(): Promise<void> {
  await machine.begin();
  parts.socket.welcome();
  expect(machine.state).toBe('live');
}

function hide(hidden: boolean): void {
  parts.isHidden = hidden;
  machine.visibilityChanged();
}

describe('a page that is opened', () => {
  it('follows the events of a running service, and reads everything once', async () => {
    await live();
    expect(parts.starts).toBe(0);
    expect(stale).toBe(1);
    parts.socket.say(event(7, 'run.created', 'r'));
    expect(events.map(({ seq }) => seq)).toEqual([7]);
  });

  it('starts a stopped service', async () => {
    parts.answer = () => Promise.resolve(facts({ state: 'stopped', version: null }));
    const states: string[] = [];
    const begun = machine.begin();
    await settle();
    states.push(machine.state);
    await begun;
    parts.socket.welcome();
    expect([parts.starts, ...states, machine.state]).toEqual([1, 'starting', 'live']);
  });

  it('leaves a stopped service alone when the user wants it so', async () => {
    machine.startsService = false;
    parts.answer = () => Promise.resolve(facts({ state: 'stopped' }));
    await machine.begin();
    expect([machine.state, parts.starts, parts.sockets.length]).toEqual(['stopped', 0, 0]);
    await machine.start();
    parts.socket.welcome();
    expect(machine.state).toBe('live');
  });

  it('asks nothing while it is hidden, and begins when it is seen', async () => {
    parts.isHidden = true;
    await machine.begin();
    expect(parts.looks).toBe(0);
    hide(false);
    await settle();
    parts.socket.welcome();
    expect(machine.state).toBe('live');
  });

  it('says why it cannot start the service, and that it is stopped', async () => {
    parts.answer = () => Promise.resolve(facts({ state: 'stopped' }));
    parts.onStart = () => Promise.reject(Object.assign(new Error('no disk'), { status: 507 }));
    await machine.begin();
    expect([machine.state, machine.problem?.message]).toEqual(['stopped', 'no disk']);
  });

  it.each([
    [403, 'refused'],
    [401, 'refused'],
    [409, 'newer'],
    [404, 'lost']
  ])('stays where it is after status %i: %s', async (status, state) => {
    parts.answer = () => Promise.reject(Object.assign(new Error('no'), { status }));
    await machine.begin();
    await parts.clock.pass(300_000);
    expect([machine.state, parts.looks]).toEqual([state, 1]);
  });
});

describe('a connection that ends', () => {
  beforeEach(live);

  it('does not come back by itself when the service was stopped on purpose', async () => {
    parts.socket.end(4503);
    await parts.clock.pass(300_000);
    expect([machine.state, parts.looks, parts.starts]).toEqual(['stopped', 1, 0]);
  });

  it('looks once, and starts nothing, when a page of a stopped service is seen again', async () => {
    parts.answer = () => Promise.resolve(facts({ state: 'stopped' }));
    parts.socket.end(4503);
    hide(true);
    hide(false);
    await parts.clock.pass(300_000);
    expect([machine.state, parts.looks, parts.starts]).toEqual(['stopped', 2, 0]);
  });

  it('finds a service that was started elsewhere when the page is seen again', async () => {
    parts.socket.end(4503);
    hide(true);
    hide(false);
    await settle();
    parts.socket.welcome();
    expect(machine.state).toBe('live');
  });

  it.each([
    [4409, 'newer'],
    [4401, 'refused']
  ])('tells what close code %i means: %s', async (code, state) => {
    parts.socket.end(code);
    await parts.clock.pass(300_000);
    expect([machine.state, parts.sockets.length]).toEqual([state, 1]);
  });

  it('goes on after the last event when the service restarts', async () => {
    parts.socket.say(event(41, 'run.created', 'r'));
    parts.socket.end(1012);
    expect(machine.state).toBe('connecting');
    await parts.clock.pass(600);
    expect(parts.socket.after).toBe(41);
    parts.socket.onopen?.(new Event('open'));
    await parts.clock.pass(300);
    expect(machine.state).toBe('live');
    expect(stale).toBe(1);
  });

  it('has a crashed service started again by the extension', async () => {
    parts.answer = () => Promise.resolve(facts({ state: 'stopped', crashed: true }));
    parts.socket.end(1012);
    await parts.clock.pass(600);
    parts.socket.welcome();
    expect([machine.state, parts.wakes, parts.starts]).toEqual(['live', 1, 0]);
  });

  it('stays stopped when the extension has given up on a crashing service', async () => {
    parts.answer = () => Promise.resolve(facts({ state: 'stopped', crashed: true }));
    parts.onStart = () =>
      Promise.reject(Object.assign(new Error('4 times'), { status: 503, service: 'stopped' }));
    parts.socket.end(1012);
    await parts.clock.pass(300_000);
    expect([machine.state, parts.wakes]).toEqual(['stopped', 1]);
  });

  it('is not shown as live by a socket that is refused as soon as it opens', async () => {
    parts.socket.say(event(5, 'run.created', 'r'));
    parts.socket.end(1006);
    await parts.clock.pass(600);
    parts.socket.onopen?.(new Event('open'));
    parts.socket.end(4503);
    await parts.clock.pass(1000);
    expect(machine.state).toBe('stopped');
  });

  it('is tried again after longer and longer waits while the server is away', async () => {
    parts.answer = () => Promise.reject(new Error('away'));
    parts.socket.end(1006);
    await parts.clock.pass(600);
    expect(machine.state).toBe('lost');
    const before = parts.looks;
    await parts.clock.pass(120_000);
    expect(parts.looks - before).toBeGreaterThan(3);
    expect(parts.looks - before).toBeLessThan(12);
    parts.answer = () => Promise.resolve(facts());
    await parts.clock.pass(31_000);
    parts.socket.welcome();
    expect(machine.state).toBe('live');
  });

  it('is tried at once when the network is back', async () => {
    parts.answer = () => Promise.reject(new Error('away'));
    parts.socket.end(1006);
    await parts.clock.pass(60_000);
    parts.answer = () => Promise.resolve(facts());
    machine.online();
    await settle();
    parts.socket.welcome();
    expect(machine.state).toBe('live');
  });

  it('gives up on a question that is never answered', async () => {
    parts.answer = () => new Promise(() => undefined);
    parts.socket.end(1006);
    await parts.clock.pass(60_000);
    parts.answer = () => Promise.resolve(facts());
    await parts.clock.pass(60_000);
    parts.socket.welcome();
    expect(machine.state).toBe('live');
  });
});

describe('a page that is not looked at', () => {
  beforeEach(live);

  it('lets go after a few seconds, and takes up where it was', async () => {
    parts.socket.say(event(12, 'run.created', 'r'));
    hide(true);
    await parts.clock.pass(4000);
    expect(parts.socket.closed).toBe(false);
    await parts.clock.pass(2000);
    expect(parts.socket.closed).toBe(true);
    expect(parts.clock.waits).toEqual([]);
    hide(false);
    await settle();
    expect([parts.sockets.length, parts.socket.after]).toEqual([2, 12]);
  });

  it('keeps its connection when it is hidden for a moment only', async () => {
    hide(true);
    await parts.clock.pass(2000);
    hide(false);
    await parts.clock.pass(20_000);
    expect([parts.sockets.length, parts.socket.closed]).toEqual([1, false]);
  });

  it('hears nothing more from a socket that it let go', async () => {
    const old = parts.socket;
    hide(true);
    await parts.clock.pass(6000);
    old.say(event(13, 'run.created', 'late'));
    old.end(4503);
    expect([events.length, machine.state]).toEqual([0, 'live']);
  });
});

describe('a machine that sleeps', () => {
  beforeEach(live);

  it('takes silence for the end, and goes on after the last event', async () => {
    parts.socket.say(event(20, 'run.created', 'r'));
    const old = parts.socket;
    parts.clock.sleep(3_600_000);
    await parts.clock.pass(1000);
    expect(old.closed).toBe(true);
    expect([parts.sockets.length, parts.socket.after]).toEqual([2, 20]);
  });

  it('takes signs of life for life', async () => {
    for (let beat = 0; beat < 10; beat += 1) {
      await parts.clock.pass(25_000);
      parts.socket.say({ heartbeat: true });
    }
    expect([parts.sockets.length, machine.state]).toEqual([1, 'live']);
  });
});

describe('what is too old', () => {
  it('is read again, and the next connection begins anew', async () => {
    await live();
    parts.socket.say(event(9, 'run.created', 'r'));
    parts.socket.say({ reset: true });
    expect(stale).toBe(2);
    parts.socket.end(1012);
    await parts.clock.pass(600);
    expect(parts.socket.after).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('is so at another site', async () => {
    await live();
    parts.socket.say(event(9, 'run.created', 'r'));
    parts.answer = () => Promise.resolve(facts({ site: 'other' }));
    parts.socket.end(1012);
    await parts.clock.pass(600);
    expect(parts.socket.after).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('waits', () => {
  it('come almost at once first, grow, and end at half a minute', () => {
    expect(backoff(0, 1)).toBeLessThanOrEqual(500);
    expect(backoff(2, 0)).toBe(2000);
    expect(backoff(2, 1)).toBe(4000);
    expect(backoff(40, 1)).toBe(30_000);
    expect(backoff(40, 0)).toBe(15_000);
  });
});
