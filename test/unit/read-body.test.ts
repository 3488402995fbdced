/** Bodies as they come: whole, however they are cut; never more memory than was counted, for longer than they are wanted. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';

import { BytesInFlight, readBody } from '../../lib/serving/read-body.js';

const MOST = 4_000_000;

describe('the body of a request', () => {
  let sent: PassThrough;
  let taken: { bytes: number };
  let stop: AbortController;
  beforeEach(() => {
    sent = new PassThrough();
    taken = { bytes: 0 };
    stop = new AbortController();
  });

  const read = (declared?: number, inFlight = new BytesInFlight(MOST)): Promise<Uint8Array> => {
    const headers = declared === undefined ? {} : { 'content-length': String(declared) };
    const incoming = Object.assign(sent, { headers }) as unknown as IncomingMessage;
    return readBody(incoming, { most: MOST, inFlight, taken, signal: stop.signal });
  };
  const patterned = (length: number): Buffer =>
    Buffer.from(Array.from({ length }, (_, i) => i % 251));
  /** In pieces of so many bytes. */
  const send = async (bytes: Uint8Array, piece: number, isAll = true): Promise<void> => {
    for (let at = 0; at < bytes.length; at += piece) {
      if (!sent.write(bytes.subarray(at, at + piece))) {
        await new Promise((resolve) => sent.once('drain', resolve));
      }
    }
    if (isAll) sent.end();
  };

  it('is what was sent, however it was cut, with its length or without', async () => {
    for (const length of [0, 1, 4096, 65_536, 65_537, 1_000_003]) {
      for (const declared of [length, undefined]) {
        sent = new PassThrough();
        taken = { bytes: 0 };
        const bytes = patterned(length);
        const [body] = await Promise.all([read(declared), send(bytes, 1 + (length % 7000))]);
        assert.ok(bytes.equals(body), `${length} ${declared}`);
        assert.equal(taken.bytes, length);
        // Nothing else hangs on it: its memory is given to a thread.
        assert.equal(body.buffer.byteLength, length);
      }
    }
  });

  it('takes its bytes and not hundreds of times as many, whatever the pieces', async () => {
    const bytes = patterned(300_000);
    const before = process.memoryUsage();
    const body = read();
    await send(bytes, 1, false);
    while (taken.bytes < bytes.length) await new Promise((resolve) => setImmediate(resolve));
    const after = process.memoryUsage();
    sent.end();
    assert.ok(bytes.equals(await body));
    const grown = after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed;
    // As chunks that are kept they took a hundred bytes and more each, 28 to 37 MB, besides what the system keeps of them.
    assert.ok(grown < 12_000_000, `${grown}`);
  });

  it('larger than it may be, than there is room for, or no longer wanted', async () => {
    assert.throws(() => read(MOST + 1), { status: 413 });
    const large = assert.rejects(read(), { status: 413 });
    void send(new Uint8Array(MOST + 1), 65_536).catch(() => undefined);
    await large;
    sent = new PassThrough();
    const full = assert.rejects(read(undefined, new BytesInFlight(10)), { status: 429 });
    sent.write(new Uint8Array(11));
    await full;
    sent = new PassThrough();
    const reason = new Error('over');
    const ended = assert.rejects(read(100), reason);
    sent.write('{');
    stop.abort(reason);
    await ended;
    await assert.rejects(read(100), reason);
  });

  it('a client that goes while it sends', async () => {
    const gone = assert.rejects(read(100), { name: 'ClientGone' });
    sent.write('{');
    sent.destroy();
    await gone;
  });
});
