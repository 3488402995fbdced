/** The transformers baseline of the inference rows. */
import { PythonProcess } from './python-process.js';

export interface Request {
  readonly kind: 'load' | 'vision' | 'prefill' | 'decode';
  readonly tiles?: number;
  readonly tokens?: number;
  readonly context?: number;
  readonly steps?: number;
  readonly rows?: number;
}

export class HfBaseline {
  readonly #process: PythonProcess<Request, { readonly ms: number }>;

  private constructor(process: PythonProcess<Request, { readonly ms: number }>) {
    this.#process = process;
  }

  static async start(
    python: string,
    model: string,
    dtype: string,
    threads: number,
  ): Promise<HfBaseline> {
    return new HfBaseline(
      await PythonProcess.start(python, 'hf.py', [model, dtype, String(threads)]),
    );
  }

  /** Milliseconds of one run. */
  async run(request: Request): Promise<number> {
    return (await this.#process.run(request)).ms;
  }

  stop(): void {
    this.#process.stop();
  }
}
