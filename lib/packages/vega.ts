/** Vega-Lite specifications to SVG text, without a browser. */
import type { Config, TopLevelSpec } from 'vega-lite';

import { MissingPackageError } from '../errors.js';
import { loadOptional } from './optional.js';

function loadVega(otherwise?: string) {
  const purpose = 'charts';
  return loadOptional(
    ['vega', 'vega-lite'],
    { purpose, ...(otherwise !== undefined && { otherwise }) },
    () => Promise.all([import('vega'), import('vega-lite')]),
  );
}

export async function hasVega(): Promise<boolean> {
  return loadVega().then(
    () => true,
    (error: unknown) => {
      if (error instanceof MissingPackageError) return false;
      throw error;
    },
  );
}

/** @throws MissingPackageError FACELLM_PACKAGE_MISSING, with what can be done `otherwise` */
export async function requireVega(otherwise: string): Promise<void> {
  await loadVega(otherwise);
}

/** The same specification makes the same text, but for the numbers of clip paths. */
export async function svgOf(spec: object, config?: Config): Promise<string> {
  const [vega, vegaLite] = await loadVega();
  const compiled = vegaLite.compile(
    spec as TopLevelSpec,
    config === undefined ? {} : { config },
  ).spec;
  const view = new vega.View(vega.parse(compiled), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
