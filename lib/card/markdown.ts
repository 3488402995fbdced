/** What all cards are written with. */
import { parse, stringify } from 'yaml';

import { isJsonObject, type JsonObject } from '../files/index.js';

export type Cell = string | number;

export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
): string {
  const line = (cells: readonly Cell[]): string =>
    `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|').replace(/\s+/g, ' ')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** YAML between two rules, as the hub reads it. */
export function frontMatter(value: JsonObject): string {
  return `---\n${stringify(value, { lineWidth: 0 })}---`;
}

/** Of a README.md; empty where there is none, or none that can be read. */
export function readFrontMatter(text: string): JsonObject {
  const [, yaml] = /^---\r?\n([\s\S]*?)\r?\n---(?:\r?\n|$)/.exec(text) ?? [];
  if (yaml === undefined) return {};
  try {
    const value: unknown = parse(yaml);
    return isJsonObject(value) ? value : {};
  } catch {
    return {}; // somebody else's file: nothing is known from it
  }
}
