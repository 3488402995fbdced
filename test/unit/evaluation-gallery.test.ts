/** The page of wrong answers tells of other models what they did: also that one could not be asked. */
import assert from 'node:assert/strict';

import { galleryHtml } from '../../lib/evaluation/run/gallery.js';
import type { ItemOutcome } from '../../lib/evaluation/types.js';

const outcome = (more: Partial<ItemOutcome>): ItemOutcome => ({
  ...{ id: 'one', promptHash: '', promptTokens: 1, imageTokens: 1, generatedTokens: 0 },
  ...{ milliseconds: 1, ...more },
});

describe('gallery of wrong answers', () => {
  it("takes another model's failure for no answer", async () => {
    const item = {
      id: 'one',
      images: [],
      prompt: 'Which?',
      choices: ['A', 'B'],
      answer: 0,
      tags: {},
    };
    const html = await galleryHtml(
      { items: [item], readings: ['probability'] } as never,
      [
        { name: 'wrong', outcomes: [outcome({ probabilities: [0.1, 0.9] })] },
        { name: 'right', outcomes: [outcome({ probabilities: [0.8, 0.2] })] },
        { name: 'gone', outcomes: [outcome({ failure: { code: 'FACELLM_NO_FACE', message: 'none' } })] }, // prettier-ignore
      ],
      { most: 5, hasPictures: false },
    );
    assert.match(html, /right: A \(80\.0 %\), right/);
    assert.match(html, /gone: could not be asked</);
    assert.doesNotMatch(html, /gone: no answer read/);
  });
});
