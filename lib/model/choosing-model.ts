import type { AskedFaces } from '../faces/index.js';
import type { ItemResult } from '../generation/index.js';
import type { ChooseItemsOptions } from './requests.js';

/** What tells the probabilities of given answers: a loaded model, or anything like it. */
export interface ChoosingModel {
  /** Tells models apart whose answers may differ. */
  readonly fingerprint: string;
  /** The same, whatever machine and process it is in: what a run goes by. @default fingerprint */
  readonly contentHash?: string;
  /** How faces are cut where the caller does not say: those of a model trained on chips. @default off */
  readonly faces?: AskedFaces | 'off';
  choose(options: ChooseItemsOptions): Promise<readonly ItemResult[]>;
}
