/** Servers that the soak asks: in a process that tells what it holds, or the command as users start it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const ROOT: string = join(import.meta.dirname, '..', '..');
export const CHECKPOINT: string = join(ROOT, 'golden', 'ckpt-300m');
/** As many threads as so small a model has use for. */
export const LOAD = { dtype: 'fp32', threads: 1 } as const;

export interface Held {
  readonly stats: Readonly<Record<string, number>>;
  /** Of clients that left since this was asked last: what the engine did before nothing was under way any more. */
  readonly left: readonly {
    readonly steps: number;
    readonly tokens: number;
    /** Whether the engine had it in hand when its leaving was heard of. */
    readonly wasUnderWay: boolean;
  }[];
  /** Resident memory that is the process's own. */
  readonly ownBytes: number;
  readonly heapBytes: number;
}

export interface Served {
  readonly url: string;
  readonly pid: number;
  /** Once nothing is under way. @param collect garbage first */
  held(collect?: boolean): Promise<Held>;
  stop(): Promise<void>;
}

/** @param options of `serve()`, and of loading as `load` */
export async function startServed(options: object = {}): Promise<Served> {
  const all = { folder: CHECKPOINT, load: LOAD, ...options };
  const child = spawn(
    process.execPath,
    ['--expose-gc', join(import.meta.dirname, 'served.mjs'), JSON.stringify(all)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('the server ended');
    return line.value;
  };
  return {
    url: await next(),
    pid: child.pid ?? 0,
    held: async (collect = false) => {
      child.stdin.write(collect ? 'collect\n' : 'idle\n');
      return JSON.parse(await next()) as Held;
    },
    stop: async () => {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}

export interface Command {
  readonly url: string;
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
}

/** @param flags of `facellm serve` */
export async function startCommand(flags: readonly string[] = []): Promise<Command> {
  const main = join(ROOT, 'dist', 'cli', 'main.js');
  const own = ['--model', CHECKPOINT, '--dtype', 'fp32', '--threads', '1', '--port', '0'];
  const child = spawn(process.execPath, [main, 'serve', ...own, ...flags], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  const [first] = (await Promise.race([
    once(child.stdout, 'data'),
    exit.then(() => {
      throw new Error('the server ended');
    }),
  ])) as [Buffer];
  return { url: first.toString().trim(), child, exit };
}
