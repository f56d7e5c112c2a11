import { JupyterFrontEnd } from '@jupyterlab/application';
import type { ServiceManager } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';

import type { Project } from '../api/types';
import { notifyProblem } from '../components/notify';
import type { IHimalia } from '../tokens';

type IServices = Pick<ServiceManager.IManager, 'kernels' | 'sessions'>;

/**
 * Whether a kernel is of the project with this kernelspec: its own, or that of another language.
 *
 * The latter has a dot and the other kernelspec's name behind it; no project's name has a dot.
 */
export function isKernelOf(kernelspec: string, name: string): boolean {
  return name === kernelspec || name.startsWith(`${kernelspec}.`);
}

/** How many kernels of a project this Jupyter runs now; 0 for a project that is not open to the user. */
export async function countKernels(
  { kernels }: Pick<IServices, 'kernels'>,
  himalia: IHimalia,
  slug: string
): Promise<number> {
  const kernelspec = himalia.projects?.find(project => project.slug === slug)?.kernelspec;
  if (kernelspec === undefined) {
    return 0;
  }
  await kernels.refreshRunning();
  return [...kernels.running()].filter(({ name }) => isKernelOf(kernelspec, name)).length;
}

/**
 * Shut down all kernels of a project in this Jupyter, with the sessions of their notebooks.
 *
 * @throws what Jupyter says of those that go on running; not when another page was quicker
 */
export async function stopKernels(
  { kernels, sessions }: IServices,
  kernelspec: string
): Promise<void> {
  await Promise.all([sessions.refreshRunning(), kernels.refreshRunning()]);
  const ofSessions = [...sessions.running()].filter(
    ({ kernel }) => kernel && isKernelOf(kernelspec, kernel.name)
  );
  const known = ofSessions.map(({ kernel }) => kernel?.id);
  const others = [...kernels.running()].filter(
    ({ id, name }) => isKernelOf(kernelspec, name) && !known.includes(id)
  );
  const done = await Promise.allSettled([
    ...ofSessions.map(({ id }) => sessions.shutdown(id)),
    ...others.map(({ id }) => kernels.shutdown(id))
  ]);
  const failed = done.find(({ status }) => status === 'rejected');
  if (failed) {
    await kernels.refreshRunning();
    if ([...kernels.running()].some(({ name }) => isKernelOf(kernelspec, name))) {
      throw (failed as PromiseRejectedResult).reason;
    }
  }
}

/** Shut down what a project that has ended leaves behind: kernels are Jupyter's. */
export async function endKernels(
  { serviceManager }: JupyterFrontEnd,
  { slug, kernelspec }: Project,
  trans: TranslationBundle
): Promise<void> {
  try {
    await stopKernels(serviceManager, kernelspec);
  } catch (error) {
    notifyProblem(trans.__('Kernels of %1 go on running.', slug), error, trans);
  }
}
