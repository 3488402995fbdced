/**
 * Packages that only some uses need: not installed with this one (`peerDependencies`, optional), and loaded when
 * they are needed. Who needs one asks for it before any other work, so that nothing is lost for want of it.
 */
import { createError } from '../errors.js';

/**
 * What `load` imports.
 *
 * @param load the dynamic imports of `names`
 * @throws MissingPackageError FACELLM_PACKAGE_MISSING with the line that installs them
 */
export async function loadOptional<T>(
  names: readonly string[],
  { purpose, otherwise }: { readonly purpose: string; readonly otherwise?: string },
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!isAbsent(cause, names)) throw cause;
    const remedy = `npm install ${names.join(' ')}`;
    throw createError(
      'FACELLM_PACKAGE_MISSING',
      `${purpose}: expected ${names.join(' and ')} beside facellm, which does not install them; ` +
        `${remedy}${otherwise === undefined ? '' : `, or ${otherwise}`}`,
      { details: [remedy], cause },
    );
  }
}

/** Not there at all: a package that is there and cannot be loaded says itself what is wrong. */
function isAbsent(error: unknown, names: readonly string[]): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return (
    code === 'ERR_MODULE_NOT_FOUND' && names.some((name) => String(message).includes(`'${name}'`))
  );
}
