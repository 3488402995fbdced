/** A baseline as a child process, in Python or in Node: JSON lines in, JSON lines out. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export class BaselineProcess<Request, Response> {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  /** The line that it printed when it was ready. */
  readonly greeting: string;

  private constructor(
    child: ChildProcessWithoutNullStreams,
    lines: AsyncIterator<string>,
    greeting: string,
  ) {
    this.#child = child;
    this.#lines = lines;
    this.greeting = greeting;
  }

  /** @param script in this folder; it prints one line when it is ready */
  static async start<Request, Response>(
    program: string,
    script: string,
    args: readonly string[],
    { flags = [], env = {} }: { flags?: readonly string[]; env?: Record<string, string> } = {},
  ): Promise<BaselineProcess<Request, Response>> {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const child = spawn(program, [...flags, path, ...args], { env: { ...process.env, ...env } });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.on('error', () => {});
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done === true) throw new Error(`the baseline did not start: ${errors.slice(-500)}`);
    return new BaselineProcess<Request, Response>(child, lines, first.value);
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
