/** Servers in processes of their own: ours as it is shipped, `transformers serve` and llama.cpp on the same weights. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

export interface ServerProcess {
  readonly url: string;
  readonly pid: number;
  /** It takes no time of the processor until `resume`: threads that spin while they wait would be measured in the other's turn. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

/** Each of these servers is one process. */
function processOf(url: string, child: ChildProcess, exit: Promise<unknown>): ServerProcess {
  // One that is stopped would outlive a benchmark that is interrupted.
  const end = (): void => void child.kill('SIGKILL');
  const interrupted = (): void => process.exit(130);
  process.once('exit', end);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  return {
    ...{ url, pid: child.pid ?? 0 },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    stop: async () => {
      child.kill('SIGTERM');
      child.kill('SIGCONT');
      await exit;
      process.off('exit', end);
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
    },
  };
}

/** @param flags of `facellm serve` */
export async function startFacellm(
  model: string,
  flags: readonly string[] = [],
): Promise<ServerProcess> {
  const command = join(ROOT, 'dist', 'cli', 'main.js');
  const child = spawn(
    process.execPath,
    [command, 'serve', '--model', model, '--port', '0', ...flags],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const exit = once(child, 'exit');
  const [first] = (await Promise.race([
    once(child.stdout, 'data'),
    exit.then(() => {
      throw new Error('the server ended; run facellm serve with these flags to see why');
    }),
  ])) as [Buffer];
  return processOf(first.toString().trim(), child, exit);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * @param python with transformers[serving]
 * @param model a folder, as `transformers serve FOLDER` takes it
 */
export async function startTransformers(
  python: string,
  model: string,
  { dtype, threads }: { readonly dtype: 'fp32' | 'bf16'; readonly threads: number },
): Promise<ServerProcess> {
  const port = await freePort();
  const child = spawn(
    python,
    [
      ...[join(ROOT, 'benchmarks', 'baselines', 'hf_serve.py'), model, '--port', String(port)],
      ...['--host', '127.0.0.1', '--device', 'cpu', '--log-level', 'error'],
      ...['--dtype', dtype === 'fp32' ? 'float32' : 'bfloat16'],
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: String(threads) },
    },
  );
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4000)));
  let hasEnded = false;
  const exit = once(child, 'exit').then(() => (hasEnded = true));
  const url = `http://127.0.0.1:${port}`;
  // Its model is loaded before it listens.
  while (
    !(await fetch(`${url}/health`).then(
      (reply) => reply.ok,
      () => false,
    ))
  ) {
    if (hasEnded) throw new Error(`transformers serve ended: ${errors}`);
    await sleep(250);
  }
  return processOf(url, child, exit);
}

/**
 * @param location an installed @fugood/llama.node
 * @param gguf the text model's weights
 */
export async function startLlama(
  location: string,
  gguf: string,
  { threads, slots }: { readonly threads: number; readonly slots: number },
): Promise<ServerProcess> {
  const script = join(ROOT, 'benchmarks', 'baselines', 'llama-serve.mjs');
  const child = spawn(process.execPath, [script, location, gguf, String(threads), String(slots)], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const exit = once(child, 'exit');
  // Its library writes to standard output as well.
  let told = '';
  for await (const bytes of child.stdout as AsyncIterable<Buffer>) {
    told += bytes.toString();
    const [url] = /http:\/\/\S+(?=\n)/.exec(told) ?? [];
    if (url === undefined) continue;
    child.stdout.destroy();
    return processOf(url, child, exit);
  }
  throw new Error(`llama.cpp ended: ${told.slice(-500)}`);
}
