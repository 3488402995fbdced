/** Another build of the addon, running the same rows in a process of its own. */
import { resolve } from 'node:path';

import type { OpenRowsOptions } from '../inference/open-rows.js';
import type { Row } from '../inference/rows.js';
import { BaselineProcess } from './baseline-process.js';

export class OtherBuild {
  readonly name = 'the other build';
  readonly #process: BaselineProcess<string, { readonly ms: number }>;
  readonly #rows: ReadonlySet<string>;

  private constructor(
    process: BaselineProcess<string, { readonly ms: number }>,
    rows: ReadonlySet<string>,
  ) {
    this.#process = process;
    this.#rows = rows;
  }

  /** @param addon a facellm.node whose contract is this source tree's for what the rows call */
  static async start(
    addon: string,
    { model, dtype, device, threads, weights = 'stored' }: OpenRowsOptions,
  ): Promise<OtherBuild> {
    const child = await BaselineProcess.start<string, { readonly ms: number }>(
      process.execPath,
      'serve-rows.ts',
      [model, dtype, device, threads, weights],
      { flags: process.execArgv, env: { FACELLM_ADDON: resolve(addon) } },
    );
    return new OtherBuild(child, new Set(child.greeting.split('\t')));
  }

  covers(row: Row): boolean {
    return this.#rows.has(row.name);
  }

  async run(row: Row): Promise<number> {
    return (await this.#process.run(row.name)).ms;
  }

  stop(): void {
    this.#process.stop();
  }
}
