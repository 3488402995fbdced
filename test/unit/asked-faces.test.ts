/** Pictures of a question to chips: none, one and three faces, which of them, and what becomes of a picture without. */
import assert from 'node:assert/strict';

import type { ChatMessage } from '../../lib/chat/index.js';
import {
  type AskedFaces,
  type FoundFace,
  KnownFaces,
  resolveAskedFaces,
} from '../../lib/faces/index.js';
import { cropMessages } from '../../lib/model/crop-pictures.js';
import { resolvePromptOptions } from '../../lib/model/serving-settings.js';
import { askOptions } from '../../lib/model/requests.js';
import { checkFields } from '../../lib/options/index.js';

/** A picture whose first byte says how many faces the detector finds, side by side, the middle one largest. */
function picture(faces: number) {
  const data = new Uint8Array(300 * 100 * 3).fill(100);
  data[0] = faces;
  return { data, width: 300, height: 100, channels: 3 as const };
}

let looks = 0;
const detector: AskedFaces['detector'] = ({ data }) => {
  looks++;
  const found = Array.from({ length: data[0] ?? 0 }, (_, i): FoundFace => {
    const side = i === 1 ? 80 : 40;
    return { box: { x: 100 * i + 10, y: 10, width: side, height: side }, score: 0.9 };
  });
  return Promise.resolve(found);
};
const asked = (faces: AskedFaces = {}) => resolveAskedFaces({ detector, size: 32, ...faces });

describe('faces of the pictures of a question', () => {
  const known = new KnownFaces();

  for (const [faces, which, used] of [
    [1, 'main', [0]],
    [1, 'all', [0]],
    [1, 0, [0]],
    [3, 'main', [1]],
    [3, 'largest', [1]],
    [3, 'all', [0, 1, 2]],
    [3, 2, [2]],
  ] as const) {
    it(`${faces} face(s), ${which}: ${used.join(', ')}`, async () => {
      const { pictures, record } = await known.take(picture(faces), asked({ which }), {});
      assert.deepEqual(record.used, used);
      assert.equal(record.found, faces);
      assert.equal(record.detector.name, 'detector');
      assert.deepEqual(JSON.parse(JSON.stringify(record)), record);
      assert.ok(
        pictures.every((one) => typeof one === 'object' && 'width' in one && one.width === 32),
      );
    });
  }

  for (const [faces, given, reason] of [
    [0, {}, /raw image: no face was found; .*onNoFace: 'whole'.*--faces off.*--small-faces/],
    [1, { which: 1 }, /1 face was found, and none has the number 1/],
    [3, { minSide: 1000 }, /3 faces were found, all smaller than minSide/],
  ] as const) {
    it(`${faces} face(s) and none that is meant: an error with a remedy, or the whole picture`, async () => {
      const source = picture(faces);
      await assert.rejects(known.take(source, asked(given), {}), (error: Error) => {
        assert.equal((error as { code?: unknown }).code, 'FACELLM_NO_FACE');
        assert.match(error.message, reason);
        return true;
      });
      const { pictures, record } = await known.take(
        source,
        asked({ ...given, onNoFace: 'whole' }),
        {},
      );
      assert.deepEqual([pictures, record.used, record.found], [[source], [], faces]);
    });
  }

  it('a picture is looked at once, whoever asks; other options and another detector look again', async () => {
    const own = new KnownFaces();
    looks = 0;
    await Promise.all([1, 2, 3].map(() => own.take(picture(1), asked(), {})));
    await own.take(picture(1), asked({ onNoFace: 'whole' }), {});
    assert.equal(looks, 1);
    await own.take(picture(1), asked({ margin: 0.5 }), {});
    assert.equal(looks, 2);
    await own.take(
      picture(1),
      asked({ detector: () => Promise.resolve([]), onNoFace: 'whole' }),
      {},
    );
    await own.take(picture(1), asked(), {});
    assert.equal(looks, 2);
  });

  it("a failure of the detector is the caller's, and is not kept", async () => {
    let calls = 0;
    const failing = () => {
      calls++;
      return Promise.reject(new Error('no detector today'));
    };
    while (calls < 2) {
      await assert.rejects(known.take(picture(1), asked({ detector: failing }), {}), /today/);
    }
    assert.equal(calls, 2);
  });

  it('several chips stand where their picture stood, in the text too', async () => {
    const options = resolvePromptOptions(
      { faces: { detector, size: 32, which: 'all' } },
      undefined,
      'hf',
    );
    const turn = (
      ...content: Extract<ChatMessage['content'], readonly unknown[]>
    ): ChatMessage[] => [{ role: 'user', content }];
    const image = (faces: number) => ({ type: 'image', image: picture(faces) }) as const;
    const text = (words: string) => ({ type: 'text', text: words }) as const;
    const plain = await cropMessages(known, turn(image(3), text('Who?'), image(1)), options);
    const [first] = plain.messages;
    assert.deepEqual(
      (first?.content as readonly { type: string }[]).map(({ type }) => type),
      ['image', 'image', 'image', 'text', 'image'],
    );
    assert.deepEqual(
      plain.faces?.map(({ used }) => used.length),
      [3, 1],
    );
    const tagged = await cropMessages(
      known,
      turn(image(3), image(1), text('<image> and <image>?')),
      options,
    );
    assert.deepEqual(
      (tagged.messages[0]?.content as readonly { text?: string }[]).at(-1)?.text,
      '<image>\n<image>\n<image> and <image>?',
    );
    // Three chips do not make one tag too few right.
    await assert.rejects(
      cropMessages(known, turn(image(3), text('<image><image><image>')), options),
      {
        code: 'FACELLM_INVALID_ARGUMENT',
      },
    );
  });

  it('each is refused where there is one answer, with what to do; unknown fields too', () => {
    const check = (faces: unknown): unknown =>
      checkFields(askOptions, { question: 'x', faces }, 'wrong');
    assert.throws(() => check({ which: 'each' }), /faces.which: expected main, .*\{ which: 0 \}/);
    assert.throws(() => check({ wich: 'main' }), /did you mean which/);
    assert.throws(() => check('on'), /off or cropped/);
    check({ which: 3, onNoFace: 'whole' });
  });
});
