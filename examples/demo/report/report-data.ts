/** All that the report shows, as plain data: report.json is this without the pictures. */
import type { AttributeFigures, LossPoint, PictureAnswer } from '../figures.js';
import type { DataResult } from '../stages/data.js';
import type { Face } from '../stages/faces.js';
import type { ModelResult } from '../stages/model.js';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGigabytes: number;
  readonly system: string;
  readonly node: string;
  readonly facellm: string;
}

export interface TestPicture {
  readonly file: string;
  readonly answers: readonly PictureAnswer[];
}

export interface ReportData {
  readonly format: 'facellm-demo-1';
  readonly isQuick: boolean;
  readonly seed: number;
  readonly madeAt: string;
  readonly machine: Machine;
  readonly data: DataResult;
  readonly model: ModelResult;
  readonly training: {
    readonly steps: number;
    readonly seconds: number;
    readonly losses: readonly LossPoint[];
  };
  readonly figures: readonly AttributeFigures[];
  readonly faces: readonly Face[];
  readonly faceRule: string;
  readonly test: { readonly people: number; readonly pictures: readonly TestPicture[] };
  /** Of the stages, then one that asks. */
  readonly commands: readonly string[];
  readonly realCommands: readonly string[];
}

/** data: URLs of pictures by file. */
export type Pictures = ReadonlyMap<string, string>;
