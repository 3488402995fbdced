/** Plots of one kind, one a model: beside each other where there is place, and legible on a narrow screen, where there is none. */
import type { ChartSpec } from './charts/theme.js';
import type { Block } from './document.js';

export interface Panels {
  /** Of the files: with the model's name behind it where there are several. */
  readonly name: string;
  readonly models: readonly string[];
  /** One a model. */
  readonly specs: readonly ChartSpec[];
  readonly alt: string;
  /** Under the first. */
  readonly caption: string;
}

export function panelFigures({ name, models, specs, alt, caption }: Panels): Block[] {
  const words = models.map((model) => model.replaceAll(/[^\p{L}\p{N}-]+/gu, '-'));
  return specs.map((spec, i): Block => {
    const word = words[i] ?? '';
    // Two names may differ only in what no file name has.
    const own = words.indexOf(word) === i && word !== '-' ? word : String(i + 1);
    return {
      kind: 'figure',
      name: specs.length === 1 ? name : `${name}-${own}`,
      spec,
      alt: `${alt}, for ${models[i] ?? ''}`,
      caption: i === 0 ? caption : '',
    };
  });
}
