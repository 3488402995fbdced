/** A baseline in Python as a child process: JSON lines in, JSON lines out. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export class PythonProcess<Request, Response> {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** @param script in this folder; it prints one line when it is ready */
  static async start<Request, Response>(
    python: string,
    script: string,
    args: readonly string[],
  ): Promise<PythonProcess<Request, Response>> {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const child = spawn(python, [path, ...args]);
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.on('error', () => {});
    const started = new PythonProcess<Request, Response>(child);
    const first = await started.#lines.next();
    if (first.done === true) throw new Error(`the baseline did not start: ${errors.slice(-500)}`);
    return started;
  }

  async run(request: Request): Promise<Response> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('the baseline ended');
    return JSON.parse(line.value) as Response;
  }

  stop(): void {
    this.#child.stdin.end();
  }
}
