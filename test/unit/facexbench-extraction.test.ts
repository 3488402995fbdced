/** Both readings of replies against the table, and what must hold of any reply. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { extractOfficial, optionLabels } from '../../lib/evaluation/facexbench/extract-official.js';
import { extractStrict } from '../../lib/evaluation/facexbench/extract-strict.js';
import { pythonStrip } from '../../lib/evaluation/facexbench/python-text.js';
import { REPLIES } from '../support/facexbench-replies.js';

const OPTIONS = ['Both', 'Male', 'Female', 'None of the above'];
const LABELS = ['A', 'B', 'C', 'D'];
/** Texts in which letters, signs and options meet often. */
const replyText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...LABELS,
        ...OPTIONS,
        'E',
        'a',
        'I',
        'Option',
        'answer',
        '1',
        '\u00e9',
        '\u662f',
      ),
      fc.constantFrom(' ', '.', ':', ' - ', '(', ')', '\n', '\u00a0', '_', '**'),
      fc.string({ maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

function letter(index: number | undefined): string {
  return index === undefined ? '-' : (optionLabels(26)[index] ?? '?');
}

describe('FaceXBench replies', () => {
  it('the table has at least 200 different replies', () => {
    const all = REPLIES.flatMap(({ about, replies }) => replies.map(([reply]) => about + reply));
    assert.equal(new Set(all).size, all.length);
    assert.ok(all.length >= 200, `${all.length}`);
  });

  for (const { about, options, replies } of REPLIES) {
    it(about, () => {
      for (const [reply, expected] of replies) {
        const read = `${letter(extractOfficial(reply, options))} ${letter(extractStrict(reply, options))}`;
        assert.equal(read, expected, JSON.stringify(reply));
      }
    });
  }

  it('the number of options decides which letters count', () => {
    for (let count = 1; count <= 26; count++) {
      const options = Array.from({ length: count }, (_, i) => `text ${i}`);
      for (const [i, label] of optionLabels(26).entries()) {
        assert.equal(extractOfficial(label, options), i < count ? i : undefined);
        assert.equal(extractStrict(label, options), i < count ? i : undefined);
      }
    }
  });

  it('property: any reply gives an option or nothing, whatever surrounds it', () => {
    fc.assert(
      fc.property(replyText, fc.constantFrom(' ', '\n', '\t', '\x1c', '\u00a0'), (reply, space) => {
        for (const read of [extractOfficial, extractStrict]) {
          const index = read(reply, OPTIONS);
          assert.ok(index === undefined || (index >= 0 && index < OPTIONS.length));
          assert.equal(read(space + reply + space, OPTIONS), index, 'space at the ends');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('property: official finds something wherever a valid letter or an option stands alone', () => {
    fc.assert(
      fc.property(replyText, fc.constantFrom(...LABELS, ...OPTIONS), replyText, (a, what, b) => {
        assert.notEqual(extractOfficial(`${a} ${what} ${b}`, OPTIONS), undefined);
      }),
    );
  });

  it('property: without a letter or an option official finds nothing', () => {
    const dull = fc.stringMatching(/^[e-z0-9 .,:()\u00e9-]*$/);
    fc.assert(fc.property(dull, (reply) => extractOfficial(reply, OPTIONS) === undefined));
  });

  it('property: strict agrees with official where the reply begins with its letter', () => {
    fc.assert(
      fc.property(replyText, (reply) => {
        const strict = extractStrict(reply, OPTIONS);
        const begins = /^[*([]*(Option )?[([]?[A-D]\b/.test(pythonStrip(reply));
        if (strict === undefined || !begins) return;
        assert.equal(extractOfficial(reply, OPTIONS), strict);
      }),
      { numRuns: 500 },
    );
  });

  it('a long reply takes no long time', () => {
    // Quadratic reading of 200,000 blanks would take minutes and hit mocha's limit.
    const blanks = ' '.repeat(200_000);
    assert.equal(extractOfficial(`x${blanks}y`, OPTIONS), undefined);
    assert.equal(extractStrict(`x${blanks}y`, OPTIONS), undefined);
    assert.equal(extractStrict(`B${blanks}y`, OPTIONS), undefined);
  });
});
