/** Work under way on the engine thread. `cancel()` is idempotent and stops within one step. */
export interface NativeJob<T> {
  readonly promise: Promise<T>;
  cancel(): void;
}
