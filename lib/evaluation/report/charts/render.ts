/** A Vega-Lite specification to SVG text, without a browser; the same specification makes the same text. */
import type { TopLevelSpec } from 'vega-lite';

import { THEME } from './theme.js';

export async function renderSvg(spec: TopLevelSpec): Promise<string> {
  // Only reports need them, and they take a while to load.
  const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')]);
  const compiled = vegaLite.compile({ padding: 8, ...spec }, { config: THEME }).spec;
  const view = new vega.View(vega.parse(compiled), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
