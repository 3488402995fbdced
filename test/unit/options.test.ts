/** Options of public calls: copied, and refused all at once with the nearest known name. */
import assert from 'node:assert/strict';

import type { FaceLlmError } from '../../lib/index.js';
import {
  checkArguments,
  checkFields,
  field,
  fields,
  flag,
  kindOf,
  list,
  whole,
} from '../../lib/options/index.js';

interface Inner {
  readonly width: number;
}
interface Outer {
  readonly count: number;
  readonly isOn?: boolean | undefined;
  readonly inner?: Inner | readonly Inner[] | undefined;
}
const inner = fields<Inner>({ width: whole(1) });
const outer = fields<Outer>({
  count: whole(0, 9),
  isOn: flag.optional(),
  inner: kindOf<Inner | readonly Inner[]>((value) =>
    Array.isArray(value) ? list(inner, 'a list') : inner,
  ).optional(),
});

function detailsOf(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    assert.equal((error as FaceLlmError).code, 'FACELLM_INVALID_ARGUMENT');
    return (error as FaceLlmError).details;
  }
  return [];
}

describe('fields of options', () => {
  it('are known and right, or named all at once with their places', () => {
    const wrong = { coutn: 1, isOn: 'yes', inner: [{ width: 1 }, { widht: 2, width: null }] };
    assert.deepEqual(
      detailsOf(() => checkFields(outer, wrong, 'wrong')),
      [
        'count: expected a whole number of 0..9, but it is missing',
        'isOn: expected true or false, received "yes"',
        'inner[1].width: expected a whole number of at least 1, received null',
        'inner[1].widht: there is no such field; did you mean width?',
        'coutn: there is no such field; did you mean count?',
      ],
    );
    assert.deepEqual(
      detailsOf(() => checkArguments('wrong', [outer, { count: -1 }, 'first'], [inner, null])),
      [
        'first.count: expected a whole number of 0..9, received -1',
        'options: expected an object, received null',
      ],
    );
  });

  it('are copied, so that the caller may change theirs', () => {
    const given = { count: 1, inner: [{ width: 2 }] };
    const taken = checkFields(outer, given, 'wrong');
    given.count = 5;
    given.inner.push({ width: 3 });
    (given.inner[0] as { width: number }).width = 9;
    assert.deepEqual(taken, { count: 1, inner: [{ width: 2 }] });
  });

  it('what came is told briefly, whatever it is', () => {
    const never = field<never>('something else', () => false);
    const told = (value: unknown): string | undefined =>
      detailsOf(() => checkFields(never, value, 'wrong', 'it'))[0];
    const itself: Record<string, unknown> = {};
    itself['own'] = itself;
    const cases: readonly (readonly [unknown, string])[] = [
      [NaN, 'received NaN'],
      [10n, 'received 10'],
      [Buffer.alloc(1e6), 'received Buffer of 1000000 bytes'],
      [itself, 'received object'],
      [() => 1, 'received function'],
      ['x'.repeat(1000), `received "${'x'.repeat(79)}…`],
    ];
    for (const [value, text] of cases)
      assert.equal(told(value), `it: expected something else, ${text}`);
  });
});
