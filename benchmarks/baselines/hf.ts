/** The transformers baseline as a child process; absent where Python or its packages are. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Request {
  readonly kind: 'load' | 'vision' | 'prefill' | 'decode';
  readonly tiles?: number;
  readonly tokens?: number;
  readonly context?: number;
  readonly steps?: number;
}

export class HfBaseline {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  static async start(
    python: string,
    model: string,
    dtype: string,
    threads: number,
  ): Promise<HfBaseline> {
    const script = fileURLToPath(new URL('hf.py', import.meta.url));
    const child = spawn(python, [script, model, dtype, String(threads)]);
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.on('error', () => {});
    const baseline = new HfBaseline(child);
    const first = await baseline.#lines.next();
    if (first.done === true) throw new Error(`the baseline did not start: ${errors.slice(-500)}`);
    return baseline;
  }

  /** Milliseconds of one run. */
  async run(request: Request): Promise<number> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('the baseline ended');
    return (JSON.parse(line.value) as { readonly ms: number }).ms;
  }

  stop(): void {
    this.#child.stdin.end();
  }
}
