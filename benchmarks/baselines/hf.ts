/** The transformers baseline of the inference rows. */
import type { Row } from '../inference/rows.js';
import { BaselineProcess } from './baseline-process.js';

export interface Request {
  readonly kind: 'load' | 'vision' | 'first-token' | 'prefill' | 'decode';
  readonly tiles?: number;
  readonly tokens?: number;
  readonly context?: number;
  readonly steps?: number;
  readonly rows?: number;
}

export class HfBaseline {
  readonly name = 'transformers';
  readonly #process: BaselineProcess<Request, { readonly ms: number }>;

  private constructor(process: BaselineProcess<Request, { readonly ms: number }>) {
    this.#process = process;
  }

  static async start(
    python: string,
    model: string,
    dtype: string,
    threads: number,
    device = 'cpu',
  ): Promise<HfBaseline> {
    return new HfBaseline(
      await BaselineProcess.start(python, 'hf.py', [model, dtype, String(threads), device]),
    );
  }

  covers(row: Row): boolean {
    return row.baseline !== undefined;
  }

  /** Milliseconds of one run. */
  async run({ baseline }: Row): Promise<number> {
    return baseline === undefined ? NaN : (await this.#process.run(baseline)).ms;
  }

  stop(): void {
    this.#process.stop();
  }
}
