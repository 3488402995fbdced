/** A plot in the look of all plots, as SVG; the same specification makes the same text. */
import { svgOf } from '../../../packages/vega.js';
import { type ChartSpec, THEME } from './theme.js';

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

export async function renderSvg(spec: ChartSpec): Promise<string> {
  return renumberIds(await svgOf({ padding: 8, ...spec }, THEME));
}
