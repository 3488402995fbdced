/** Skipping with a reason, which `npm test` lists at its end (scripts/spec-and-counts.cjs). */

/** What the live suites need, and how to have it. */
export const NEEDS_ORACLE = 'needs transformers and PEFT: npm run test:live';
/** Gloo's headers were not found when the addon was compiled. */
export const NEEDS_GLOO = 'this build has no Gloo (Debian: apt-get install libgloo-dev)';

/** Ends the running test, or all tests of the suite from its `before`. */
export function skip(context: Mocha.Context, reason: string): never {
  const test: (Mocha.Runnable & { readonly type?: string }) | undefined = context.test;
  const marked = test?.type === 'hook' ? test.parent : test;
  Object.assign(marked ?? {}, { skipReason: reason });
  return context.skip();
}
