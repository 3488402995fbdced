/** What the server stands on: routes, their adapter to Node, log lines, metrics. */
import { loadOptional } from './optional.js';

/** The four packages, as their own modules. */
export interface ServerPackages {
  readonly hono: typeof import('hono');
  readonly adapter: typeof import('@hono/node-server');
  readonly pino: typeof import('pino').pino;
  readonly prom: typeof import('prom-client');
}

/** @throws MissingPackageError FACELLM_PACKAGE_MISSING */
export async function loadServerPackages(): Promise<ServerPackages> {
  const names = ['hono', '@hono/node-server', 'pino', 'prom-client'];
  const [hono, adapter, pino, prom] = await loadOptional(names, { purpose: 'the server' }, () =>
    Promise.all([
      import('hono'),
      import('@hono/node-server'),
      import('pino'),
      import('prom-client'),
    ]),
  );
  return { hono, adapter, pino: pino.pino, prom };
}
