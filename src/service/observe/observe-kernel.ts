/** An observer where no Weft runs that could be asked: it reads the kernel, and is loaded when it is wanted. */
import { silentLogger, type Logger } from '../../base/index.ts';
import type { KernelSourcesOptions } from './kernel-sources.ts';
import type { Observer } from './observer.ts';

/**
 * Needs no rights; without CAP_NET_ADMIN the events of connections are missing. Stop it.
 * @throws SystemError where the kernel cannot be asked about links
 */
export async function observeKernel(
  options: KernelSourcesOptions & { readonly logger?: Logger },
): Promise<Observer> {
  const [{ Observer: Made }, { kernelSources }] = await Promise.all([
    import('./observer.ts'),
    import('./kernel-sources.ts'),
  ]);
  const { logger = silentLogger, netns } = options;
  const observer = new Made({
    sources: kernelSources(options),
    logger,
    ...(netns === undefined ? {} : { netns }),
  });
  await observer.start();
  return observer;
}
