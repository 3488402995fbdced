/** What a run tells while it works. */
import type { SettingValue } from './settings.js';

export type EvaluationEvent =
  /** How all models are asked; before anything is loaded. */
  | {
      readonly type: 'asking';
      /** Template, system turn, tiles, area limit, EXIF: with every default in place. */
      readonly form: Readonly<Record<string, SettingValue>>;
      /** Models whose record of their training fills in what the caller left open; empty: the defaults do. */
      readonly recordedBy: readonly string[];
    }
  /** A model's files are being hashed or its weights read. */
  | {
      readonly type: 'hash' | 'load';
      readonly model: string;
      readonly bytesDone: number;
      readonly bytesTotal: number;
    }
  /** A model's turn begins; without a device if nothing is left to ask. */
  | {
      readonly type: 'start';
      readonly model: string;
      readonly device: string | undefined;
      /** Questions of this process's share, and those already answered. */
      readonly total: number;
      readonly done: number;
    }
  /** An answer more is in the journal. */
  | {
      readonly type: 'batch';
      readonly model: string;
      readonly total: number;
      readonly done: number;
      /** Since the model's turn began. */
      readonly failures: number;
    }
  /** Something to know that stops nothing: a model is asked in another way than it was trained. */
  | {
      readonly type: 'warning';
      readonly model: string;
      readonly message: string;
      readonly details: readonly string[];
    }
  /** Tables are being written. */
  | { readonly type: 'report'; readonly folder: string };
