/** How far one looks ahead to tell the ways on apart: past all that is written without a choice. */
import { itemOf, type SchemaNode } from './node.js';

/** Whether there is a value of it that holds nothing to choose: one looks past that, to what follows. */
function mayBeGiven(node: SchemaNode): boolean {
  switch (node.kind) {
    case 'values':
      return node.values.length === 1;
    case 'object':
      return node.properties.every((one) => !one.isRequired || mayBeGiven(one.node));
    case 'array': {
      const needed = Math.min(node.minItems, node.prefix.length + 1);
      return Array.from({ length: needed }, (_, i) => itemOf(node, i)).every(
        (item) => item === undefined || mayBeGiven(item),
      );
    }
    case 'any':
      return node.branches.some(mayBeGiven);
    default:
      return false;
  }
}

/** Values that are looked at, at most, to tell how such a node goes on: lists in lists multiply them. */
export function stepsPast(node: SchemaNode): number {
  switch (node.kind) {
    case 'object': {
      let steps = 1;
      for (const one of node.properties) {
        steps += stepsPast(one.node);
        if (one.isRequired && !mayBeGiven(one.node)) break;
      }
      return steps;
    }
    case 'array': {
      let steps = 1;
      for (const one of node.prefix) {
        steps += stepsPast(one);
        if (!mayBeGiven(one)) return steps;
      }
      if (node.item === undefined) return steps;
      const times = mayBeGiven(node.item) ? Math.max(0, node.maxItems - node.prefix.length) : 1;
      return steps + times * stepsPast(node.item);
    }
    case 'any':
      return node.branches.reduce((sum, branch) => sum + stepsPast(branch), 1);
    default:
      return 1;
  }
}
