import { Notification } from '@jupyterlab/apputils';
import { nullTranslator } from '@jupyterlab/translation';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { unless } from '../../components/notify';
import type { Connection, IProjectStore } from '../../tokens';
import { whyNot } from '../roles';

const trans = nullTranslator.load('himalia');
const page = (role: string | null, connection: Connection = 'live') => ({
  connection,
  store: role === null ? null : ({ project: { role } } as IProjectStore)
});

describe('whyNot', () => {
  it('lets those do it who may', () => {
    expect(whyNot(page('contributor'), 'cluster.write', trans)).toBeNull();
    expect(whyNot(page('operator'), 'model.alias', trans)).toBeNull();
  });

  it('names the role that is missing', () => {
    expect(whyNot(page('viewer'), 'cluster.write', trans)).toContain('viewer');
    expect(whyNot(page('contributor'), 'deployment.write', trans)).toContain('operator');
  });

  it('asks for a project, and for a service', () => {
    expect(whyNot(page(null), 'cluster.write', trans)).toContain('project');
    expect(whyNot(page('owner', 'stopped'), 'cluster.write', trans)).toContain('service');
  });
});

describe('unless', () => {
  afterEach(() => vi.restoreAllMocks());

  it('acts when nothing is against it', async () => {
    const act = vi.fn(async () => undefined);
    await unless(() => null, act)({ name: 'local' });
    expect(act).toHaveBeenCalledWith({ name: 'local' });
  });

  it('tells the reason instead of acting', async () => {
    const act = vi.fn(async () => undefined);
    const told = vi.spyOn(Notification, 'warning').mockReturnValue('id');
    await unless(() => 'You are viewer.', act)({});
    expect(act).not.toHaveBeenCalled();
    expect(told).toHaveBeenCalledWith('You are viewer.', { autoClose: 6000 });
  });
});
