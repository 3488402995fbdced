/** Starts a server around a model, and ends it: nobody new is let in, who is in gets an answer or an error. */
import { setMaxListeners } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';

import { createError } from '../errors.js';
import { FaceLlm } from '../model/index.js';
import { loadServerPackages, type ServerPackages } from '../packages/server.js';
import { packageVersion } from '../packages/version.js';
import { Admission } from './admission.js';
import { shuttingDown } from './api-error.js';
import { createApp } from './app.js';
import { defaultsOf, settingsOf } from './batch-settings.js';
import { BatchStore } from './batch-store.js';
import { Batches } from './batches.js';
import { BodyParser } from './body-parser.js';
import { Calibrations } from './calibrations.js';
import { Catalogue, checkNames } from './catalogue.js';
import { Guards } from './guards.js';
import { Keys } from './keys.js';
import { Metrics } from './metrics.js';
import { checkServeOptions, type Policy, policyOf, type ServeOptions } from './options.js';
import { Pulse } from './pulse.js';
import type { RequestFacts } from './request-facts.js';
import { RunFolders } from './run-folders.js';
import type { ServerState } from './state.js';

export interface RunningServer extends AsyncDisposable {
  /** `http://host:port`. */
  readonly url: string;
  readonly model: FaceLlm;
  /** Ids that requests may name. */
  readonly models: readonly string[];
  /**
   * Lets nobody new in, gives requests under way `drainTimeout` to end, and ends those that are left with an error. Disposes of
   * the model where the server has loaded it. Idempotent.
   *
   * @returns whether all had ended by themselves
   */
  close(): Promise<boolean>;
}

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];
const DEFAULT_ROWS = { cpu: 16, gpu: 256 } as const;
/** One request as it was asked of a hub: the last part of a path or id. */
const DEFAULT_NAME = 'facellm';

/**
 * Serves a model over HTTP, in OpenAI's protocol (docs/serving.md). Installs no signal handlers and prints nothing.
 *
 * @throws InvalidArgumentError, MissingPackageError FACELLM_PACKAGE_MISSING, and what loading throws
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const checked = checkServeOptions(options);
  const keys = new Keys(checked.apiKeys ?? []);
  const host = checked.host ?? '127.0.0.1';
  if (keys.areOff && !LOOPBACK.includes(host) && checked.insecureNoAuth !== true) {
    throw createError('FACELLM_INVALID_ARGUMENT', 'the server cannot be started so', {
      details: [
        `host: others reach ${host}, and no API keys are set: everybody could ask; give keys (facellm keygen), ` +
          'or insecureNoAuth (--insecure-no-auth) where something in front asks for them',
      ],
    });
  }
  const runs = checked.runs && (await RunFolders.open(checked.runs));
  const packages = await loadServerPackages();
  const isOwn = typeof checked.model === 'string';
  const model =
    typeof checked.model === 'string' ? await load(checked.model, checked) : checked.model;
  try {
    return await start(packages, model, isOwn, keys, runs, host, checked);
  } catch (error) {
    if (isOwn) await model.dispose();
    throw error;
  }
}

async function load(model: string, { load: given, signal }: ServeOptions): Promise<FaceLlm> {
  const { adapter, ...others } = given ?? {};
  const loaded = await FaceLlm.load(model, { ...others, signal });
  try {
    // Each is a model of its own: none works where it is not asked for.
    for (const folder of [adapter ?? []].flat()) {
      signal?.throwIfAborted();
      await loaded.loadAdapter(folder);
    }
    return loaded;
  } catch (error) {
    await loaded.dispose();
    throw error;
  }
}

async function start(
  packages: ServerPackages,
  model: FaceLlm,
  isOwn: boolean,
  keys: Keys,
  runs: RunFolders | undefined,
  host: string,
  options: ServeOptions,
): Promise<RunningServer> {
  const policy = policyOf(options);
  const named = typeof options.model === 'string' ? basename(options.model) : DEFAULT_NAME;
  const catalogue = new Catalogue(model, options.servedName ?? (named || DEFAULT_NAME));
  checkNames(catalogue.ids, 'the server cannot be started so');
  const files = [options.calibration ?? []].flat();
  const canLoadAdapters = policy.adaptersRoot !== undefined || runs !== undefined;
  const calibrations = new Calibrations(model, files, canLoadAdapters);
  const rows = options.load?.maxRows ?? DEFAULT_ROWS[model.info.device === 'cpu' ? 'cpu' : 'gpu'];
  const admission = new Admission(policy.limits, rows);
  const pulse = new Pulse(model);
  const parser = new BodyParser();
  const ending = new AbortController();
  // A listener a request is no leak.
  setMaxListeners(0, ending.signal);
  let guards = new Guards(host, options.allowHosts ?? [], options.corsOrigins ?? []);
  let batches: Batches | undefined;
  const state: ServerState = {
    ...{ model, catalogue, calibrations, policy, admission, parser, keys, pulse, runs },
    guards: () => guards,
    metrics: new Metrics(packages, options.metricsPrefix ?? 'facellm:', {
      admission,
      stats: () => pulse.stats,
      progressAt: () => pulse.progressAt,
      model: { id: catalogue.base, parameterBytes: model.info.parameterBytes },
      version: packageVersion(),
    }),
    log: logOf(packages, options.onLog),
    ending: ending.signal,
    streams: 0,
    get batches() {
      return batches;
    },
    hasFailed: false,
    fail(error) {
      if (state.hasFailed) return;
      state.hasFailed = true;
      ending.abort(shuttingDown());
      options.onFatal?.(error);
    },
  };
  const { batches: folder } = options;
  if (folder !== undefined) {
    batches = new Batches({
      ...{ state, ahead: rows },
      store: await BatchStore.open(
        folder,
        policy.limits.batchBytes,
        Math.ceil(policy.limits.batchKeep / 1000),
      ),
      settings: {
        ...settingsOf(model, catalogue.ids, files, options.faces),
        ...defaultsOf(policy),
      },
      onFatal: (error) => state.fail(error),
      onHalt: (error) => {
        const code = (error as { readonly code?: unknown } | null)?.code;
        state.log({ batches: 'halted', code: typeof code === 'string' ? code : 'internal_error' });
      },
      onEnd: (facts, status, code) => settleLine(state, facts, status, code),
    });
  }
  const server = createHttpServer(packages, state, policy);
  const stop = async (): Promise<void> => {
    await batches?.close();
    pulse.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await parser.close();
    if (isOwn) await model.dispose();
  };
  try {
    await listen(server, options.port ?? 8000, host);
    await warmUp(model);
  } catch (error) {
    await stop();
    throw error;
  }
  const { port, address, family } = server.address() as AddressInfo;
  guards = new Guards(host, [address, ...(options.allowHosts ?? [])], options.corsOrigins ?? []);
  let closing: Promise<boolean> | undefined;
  const close = (): Promise<boolean> =>
    (closing ??= drain(state, ending, policy.limits.drainTimeout).then(async (isDrained) => {
      await stop();
      return isDrained;
    }));
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    model,
    get models() {
      return catalogue.ids;
    },
    close,
    async [Symbol.asyncDispose]() {
      await close();
    },
  };
}

/** Of a batch: a line of the log each, as of a request. */
function settleLine(state: ServerState, facts: RequestFacts, status: number, code?: string): void {
  state.log(facts.line(status, code));
  if (facts.model === '') return;
  const reason = code === undefined ? (facts.finishReason ?? 'stop') : 'error';
  state.metrics.finished(facts, facts.model, reason);
}

function logOf({ pino }: ServerPackages, onLog: ServeOptions['onLog']): (line: object) => void {
  if (onLog === undefined) return () => {};
  const write = (line: string): void => {
    try {
      Promise.resolve(onLog(line)).catch(() => {});
    } catch {
      // Whatever takes no more lines must not take answers with it.
    }
  };
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, { write });
  return (line) => logger.info(line);
}

function createHttpServer(packages: ServerPackages, state: ServerState, policy: Policy): Server {
  const { limits } = policy;
  const app = createApp(packages, state);
  const server = packages.adapter.createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
    createServer,
    serverOptions: {
      maxHeaderSize: 16 * 1024,
      headersTimeout: limits.headerTimeout,
      requestTimeout: limits.bodyTimeout,
      connectionsCheckingInterval: Math.min(1000, limits.headerTimeout),
      keepAliveTimeout: 75_000,
    },
  }) as Server;
  server.maxConnections = limits.connections;
  return server;
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const reason =
        cause.code === 'EADDRINUSE' ? 'is taken already' : `(${cause.code ?? cause.message})`;
      const details = [`${host}:${port} ${reason}; choose another port or host`];
      reject(
        createError('FACELLM_INVALID_ARGUMENT', 'the server cannot listen', { details, cause }),
      );
    });
    server.listen(port, host, resolve);
  });
}

/** What the first question would pay for: files read, kernels chosen, threads started. */
async function warmUp(model: FaceLlm): Promise<void> {
  const { tileSize } = model.config;
  const data = new Uint8Array(3 * tileSize * tileSize);
  const image = { data, width: tileSize, height: tileSize };
  await model
    .ask({ image, question: '.', maxNewTokens: 2, faces: 'cropped', adapters: null })
    .result();
  await model.clearCaches();
}

async function drain(
  state: ServerState,
  ending: AbortController,
  timeoutMs: number,
): Promise<boolean> {
  const empty = state.admission.drain();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const isDrained = await Promise.race([empty.then(() => true), late]);
  clearTimeout(timer);
  if (!isDrained) {
    ending.abort(shuttingDown());
    await empty;
  }
  return isDrained;
}
