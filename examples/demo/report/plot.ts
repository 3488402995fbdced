/** What all plots share: scales, axes, and text of SVG that takes its colours from the page. */
import { escapeHtml, Html } from './markup.js';

export interface Frame {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export type Scale = (value: number) => number;

export function linear(domain: readonly [number, number], range: readonly [number, number]): Scale {
  const [from, to] = domain;
  const [start, end] = range;
  return (value) => start + ((value - from) / (to - from || 1)) * (end - start);
}

/** A coordinate; a tenth of a pixel is enough. */
export function at(value: number): string {
  return (Math.round(value * 10) / 10).toString();
}

export function line(x1: number, y1: number, x2: number, y2: number, name: string): string {
  return `<line class="${name}" x1="${at(x1)}" y1="${at(y1)}" x2="${at(x2)}" y2="${at(y2)}"/>`;
}

export type Anchor = 'start' | 'middle' | 'end';

export function label(x: number, y: number, text: string, anchor: Anchor, name = ''): string {
  const as = name === '' ? '' : ` class="${name}"`;
  return `<text${as} x="${at(x)}" y="${at(y)}" text-anchor="${anchor}">${escapeHtml(text)}</text>`;
}

export function path(points: readonly (readonly [number, number])[], name: string): string {
  const steps = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${at(x)} ${at(y)}`);
  return `<path class="${name}" d="${steps.join('')}"/>`;
}

/** Round numbers from 0 to at least `most`, about `count` of them. */
export function ticks(most: number, count: number): number[] {
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? rough;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
}

export function svg(width: number, height: number, alt: string, parts: readonly string[]): Html {
  return new Html(
    `<svg viewBox="0 0 ${width} ${height}" style="max-width:${width}px" role="img" aria-label="${escapeHtml(alt)}">${parts.join('')}</svg>`,
  );
}
