/**
 * FaceLlm as shipped: the tokenizer's thread of a load from the sources would first start the translator,
 * 0.4 s of processor that no user pays.
 */
export async function importBuilt(): Promise<typeof import('../../lib/index.js').FaceLlm> {
  const built = new URL('../../dist/index.js', import.meta.url).href;
  const { FaceLlm } = (await import(built)) as typeof import('../../lib/index.js');
  // Threads take over these flags, the translator's among them.
  process.execArgv = [];
  return FaceLlm;
}
