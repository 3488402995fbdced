/** Room for pictures that are fetched: counted as long as they are held, waited for by batches, and nothing left under way. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';

import { serveOptions } from '../../lib/cli/serve-config.js';
import { Admission } from '../../lib/serving/admission.js';
import { checkServeOptions, DEFAULT_LIMITS, policyOf } from '../../lib/serving/options.js';
import { type Connect, RemotePictures } from '../../lib/serving/remote-pictures.js';
import { RequestFacts } from '../../lib/serving/request-facts.js';
import type { EngineState } from '../../lib/serving/state.js';
import { type TakenPictures, takePictures } from '../../lib/serving/take-pictures.js';
import { PHOTO } from '../support/server.js';

const MOST = 2 * PHOTO.length;

/** What a host sends. */
const sent = (bytes: Uint8Array): ReturnType<Connect> =>
  Promise.resolve(
    Object.assign(Readable.from([bytes]), {
      statusCode: 200,
      headers: {},
      complete: true,
    }) as never,
  );

describe('pictures that are fetched', () => {
  /** Of three files at most at a time. */
  let admission: Admission;
  let signals: AbortSignal[];
  let answer: (path: string) => ReturnType<Connect>;
  let stop: AbortController;
  beforeEach(() => {
    const limits = { ...DEFAULT_LIMITS, bodyBytesInFlight: 3 * MOST };
    admission = new Admission(limits, 1);
    signals = [];
    stop = new AbortController();
    answer = () => sent(PHOTO);
  });

  function take(paths: readonly string[], isBackground = false): Promise<TakenPictures> {
    const remote = new RemotePictures({
      ...{ hosts: 'any', mostBytes: MOST, resolve: () => Promise.resolve(['93.184.216.34']) },
      connect: ({ url, signal }) => {
        signals.push(signal);
        return answer(url.pathname.slice(1));
      },
    });
    const state = { policy: { ...policyOf({}), remote }, admission } as EngineState;
    const exchange = { state, facts: new RequestFacts('', '') };
    const work = { exchange, isBackground, signal: stop.signal };
    const pictures = paths.map((path, i) => ({
      ...{ picture: { address: `https://a.example/${path}` }, param: `images[${i}]` },
    }));
    return takePictures(work, pictures);
  }

  it('count as they are until nobody holds them', async () => {
    const work = take(['a', 'b']);
    assert.equal(admission.bodies.bytes, 2 * MOST);
    const { images, givePixels, giveAll } = await work;
    assert.equal(images.length, 2);
    assert.equal(admission.bodies.bytes, 2 * PHOTO.length);
    givePixels();
    assert.deepEqual([admission.bodies.bytes, admission.decoded.taken], [2 * PHOTO.length, 0]);
    giveAll();
    giveAll();
    assert.equal(admission.bodies.bytes, 0);
  });

  it('one that cannot be had ends the others, and only then is their room free', async () => {
    answer = (path) => (path === 'bad' ? sent(Buffer.from('words')) : new Promise(() => {}));
    await assert.rejects(take(['slow', 'bad', 'slow']), /images\[1\]: no picture/);
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, true, true],
    );
    assert.equal(admission.bodies.bytes, 0);
    answer = () => new Promise(() => {});
    const work = take(['slow']);
    stop.abort(new Error('gone'));
    await assert.rejects(work, /gone/);
    assert.equal(admission.bodies.bytes, 0);
  });

  it('are waited for by lines of batches, and by nobody else', async () => {
    const first = await take(['a', 'b', 'c'], true);
    const lines = Array.from({ length: 5 }, () => take(['a', 'b'], true));
    const done = Promise.all(lines.map(async (line) => (await line).giveAll()));
    first.giveAll();
    await done;
    assert.deepEqual([signals.length, admission.fetchedBehind.taken], [13, 0]);
    const held = await take(['a', 'b']);
    await assert.rejects(take(['a', 'b', 'c']), /too many bytes are under way/);
    held.giveAll();
  });

  it('a server that could never fetch what a request may name is not started', () => {
    const options = { model: 'm', limits: { bodyBytesInFlight: 2 ** 20 } };
    assert.deepEqual(checkServeOptions(options), options);
    assert.throws(
      () => checkServeOptions({ ...options, imageHosts: 'any' }),
      /limits\.bodyBytesInFlight: expected at least 100663296/,
    );
  });

  it('from any host, or from those of a list: not both', () => {
    assert.equal(serveOptions({ anyImageHost: true }, undefined).imageHosts, 'any');
    assert.deepEqual(serveOptions({ imageHosts: ['a,b'] }, undefined).imageHosts, ['a', 'b']);
    assert.throws(
      () => serveOptions({ imageHosts: ['a'], anyImageHost: true }, undefined),
      /any-image-host: expected either it or image-hosts/,
    );
  });
});
