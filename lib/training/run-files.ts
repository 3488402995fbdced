/** The logs and plots of a run folder, fed with the same records as everyone else. */
import { join } from 'node:path';

import { readJournal } from '../files/index.js';
import { hasVega } from '../packages/vega.js';
import type { CurvePoint } from './run/curve-series.js';
import { writeRunPlot } from './run/run-plot.js';
import type { StepRecord } from './run/step-record.js';
import type { ValidationRecord } from './validation/validation.js';
import { TensorBoardWriter } from './run/tensorboard.js';
import { TRAINER_LOG_NAME, TrainerLog } from './run/trainer-log.js';

export class RunFiles implements AsyncDisposable {
  readonly #folder: string;
  readonly #title: string;
  readonly #log: TrainerLog;
  readonly #board: TensorBoardWriter;

  private constructor(folder: string, title: string, log: TrainerLog, board: TensorBoardWriter) {
    this.#folder = folder;
    this.#title = title;
    this.#log = log;
    this.#board = board;
  }

  /** @throws TrainingError FACELLM_RUN_WRITE */
  static async open(folder: string, title: string, resumeStep: number): Promise<RunFiles> {
    const log = await TrainerLog.open({ folder, resumeStep });
    const board = await TensorBoardWriter.open({ folder, resumeStep });
    return new RunFiles(folder, title, log, board);
  }

  async log(record: StepRecord): Promise<void> {
    this.#log.append(record);
    this.#board.append(record);
    await this.flush();
  }

  async logValidation(record: ValidationRecord): Promise<void> {
    this.#log.appendValidation(record);
    this.#board.appendValidation(record);
    await this.flush();
  }

  async flush(): Promise<void> {
    await this.#log.flush();
    await this.#board.flush();
  }

  /**
   * training_loss and training_grad_norm, .svg and .png, of everything logged, earlier sessions of the run included; nothing
   * without vega.
   */
  async plot(): Promise<void> {
    await this.flush();
    if (!(await hasVega())) return;
    const curves = { loss: [], eval_loss: [], grad_norm: [] } as Record<string, CurvePoint[]>;
    await readJournal(join(this.#folder, TRAINER_LOG_NAME), (entry) => {
      const step = Number(entry['current_steps']);
      for (const [key, points] of Object.entries(curves)) {
        const value = entry[key];
        if (typeof value === 'number') points.push({ step, value });
      }
    });
    for (const quantity of ['loss', 'grad_norm'] as const) {
      const points = curves[quantity] ?? [];
      // Logs that an earlier version began may have no norms.
      if (points.length === 0) continue;
      const validation = quantity === 'loss' ? (curves['eval_loss'] ?? []) : [];
      await writeRunPlot({
        folder: this.#folder,
        title: this.#title,
        quantity,
        points,
        validation,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log.close();
    await this.#board.close();
  }
}
