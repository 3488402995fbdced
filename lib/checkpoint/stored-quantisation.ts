/** How a checkpoint's weights are stored quantised, whichever tool has written them. */
import type { NativeQuantisation } from '../binding/native.js';

export interface StoredQuantisation extends NativeQuantisation {
  /** As a reader knows it: `compressed-tensors`, `awq`, `gptq`, `bitsandbytes`. */
  readonly method: string;
  /** Of nf4: the scales are quantised, too, which is `nf4-double` already. Absent: they are whole, or the record is older. */
  readonly isDouble?: boolean | undefined;
}
