/** Ctrl-C and SIGTERM while a command works. */

/** Thrown as the reason of an abort by Ctrl-C or SIGTERM; main() exits with 130. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

const endAtOnce = (): void => process.exit(130);

/** Calls `stop` at the first Ctrl-C or SIGTERM and `again` at those after it, until disposed of. */
export function onInterrupt(stop: () => void, again: () => void = endAtOnce): Disposable {
  let isStopping = false;
  const interrupt = (): void => {
    if (isStopping) again();
    else stop();
    isStopping = true;
  };
  process.on('SIGINT', interrupt);
  // As the first process of a container has to: there the signal does nothing unless it is listened for.
  process.on('SIGTERM', interrupt);
  return {
    [Symbol.dispose]() {
      process.off('SIGINT', interrupt);
      process.off('SIGTERM', interrupt);
    },
  };
}

/** A signal that the first of them raises. */
export function interruptSignal(again?: () => void): Disposable & { readonly signal: AbortSignal } {
  const abort = new AbortController();
  const listening = onInterrupt(() => abort.abort(new Interrupted('interrupted')), again);
  return { ...listening, signal: abort.signal };
}
