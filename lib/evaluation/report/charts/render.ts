/** A Vega-Lite specification to SVG text, without a browser; the same specification makes the same text. */
import type { TopLevelSpec } from 'vega-lite';

import { THEME } from './theme.js';

/**
 * Vega numbers clip paths and gradients over the life of the process; numbered anew from 0, a plot does not depend
 * on those drawn before it.
 */
function renumberIds(svg: string): string {
  const ids = [...new Set([...svg.matchAll(/\sid="([^"]+)"/g)].map(([, id = '']) => id))];
  const numbers = new Map(ids.map((id, number) => [id, `d${number}`]));
  return svg
    .replace(
      /(\sid=")([^"]+)"/g,
      (_, start: string, id: string) => `${start}${numbers.get(id) ?? id}"`,
    )
    .replace(/url\(#([^)]+)\)/g, (_, id: string) => `url(#${numbers.get(id) ?? id})`);
}

export async function renderSvg(spec: TopLevelSpec): Promise<string> {
  // Only reports need them, and they take a while to load.
  const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')]);
  const compiled = vegaLite.compile({ padding: 8, ...spec }, { config: THEME }).spec;
  const view = new vega.View(vega.parse(compiled), { renderer: 'none' });
  try {
    return renumberIds(await view.toSVG());
  } finally {
    view.finalize();
  }
}
