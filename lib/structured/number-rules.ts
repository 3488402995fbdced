/** Numbers between bounds as rules of a grammar: digit by digit, as {@link NumberHole} takes them. */
import { beginsNumber, cellsOf, isNumber, isWithinCell } from './number-hole.js';
import { charactersOf } from './code-points.js';
import { all, any, type Expression, NOTHING, rule } from './expression.js';
import type { NumberNode } from './node.js';

const NEXT = ['-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

/**
 * Beginnings after which the same may come have one name: those that lie wholly inside or outside the bounds, whatever follows,
 * are told apart by their length only, and there are few others.
 */
function stateOf(text: string, node: NumberNode): string {
  const digits = text.replace('-', '');
  const relations = cellsOf(digits, node.isInteger).map((cell) => isWithinCell(cell, text, node));
  if (text === '' || text === '-' || relations.includes('partly')) return text;
  const form = digits === '0' ? '0' : digits.endsWith('.') ? '.' : digits.includes('.') ? 'd' : 'w';
  return `${form}${digits.replace('.', '').length}${relations.join('')}`;
}

/**
 * @param reserve gives a name that no rule has
 * @param add takes a rule
 * @returns any such number
 */
export function numberRules(
  node: NumberNode,
  reserve: () => string,
  add: (name: string, body: Expression) => void,
): Expression {
  const names = new Map<string, string>();
  const nameOf = (text: string): string => {
    const state = stateOf(text, node);
    const known = names.get(state);
    if (known !== undefined) return known;
    const name = reserve();
    names.set(state, name);
    const next = new Map<string, string>();
    for (const one of NEXT) {
      if (!beginsNumber(text + one, node)) continue;
      const target = nameOf(text + one);
      next.set(target, (next.get(target) ?? '') + one);
    }
    const ways = Array.from(next, ([target, ones]) =>
      all({ set: charactersOf(ones) }, rule(target)),
    );
    if (isNumber(text, node)) ways.push(NOTHING);
    add(name, any(ways));
    return name;
  };
  return rule(nameOf(''));
}
