/** TensorBoard's event files, read back by a decoder that shares nothing with the writer. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';

import { crc32c, maskedCrc32c } from '../../lib/training/run/crc32c.js';
import type { StepRecord } from '../../lib/training/run/step-record.js';
import { TensorBoardWriter } from '../../lib/training/run/tensorboard.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

type Field = readonly [number: number, value: bigint | Buffer];

/** Bit by bit, unlike the table of the writer. */
function slowCrc32c(bytes: Uint8Array): number {
  let state = 0xffffffffn;
  for (const byte of bytes) {
    state ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) state = (state >> 1n) ^ (state & 1n ? 0x82f63b78n : 0n);
  }
  return Number(state ^ 0xffffffffn);
}

function checkMask(stored: number, bytes: Uint8Array): void {
  const rotated = BigInt(stored) - 0xa282ead8n + (1n << 32n);
  const crc = ((rotated >> 17n) & 0x7fffn) | ((rotated << 15n) & 0xffffffffn);
  assert.equal(Number(crc), slowCrc32c(bytes));
}

function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(message.readUInt8(at++));
      value |= (byte & 0x7fn) << shift;
      if (byte < 0x80n) return value;
    }
  };
  const take = (length: number): Buffer => message.subarray(at, (at += length));
  while (at < message.length) {
    const key = varint();
    const wireType = Number(key & 7n);
    const number = Number(key >> 3n);
    if (wireType === 0) fields.push([number, varint()]);
    else if (wireType === 1) fields.push([number, take(8)]);
    else if (wireType === 5) fields.push([number, take(4)]);
    else fields.push([number, take(Number(varint()))]);
  }
  return fields;
}

function bytesOf(fields: readonly Field[], number: number): Buffer[] {
  return fields.flatMap(([each, value]) =>
    each === number && Buffer.isBuffer(value) ? [value] : [],
  );
}

interface DecodedEvent {
  readonly wallTime: number | undefined;
  readonly step: bigint;
  readonly version: string | undefined;
  readonly isRestart: boolean;
  readonly scalars: Record<string, number | undefined>;
}

function decodeEvent(message: Buffer): DecodedEvent {
  const fields = fieldsOf(message);
  const values = bytesOf(fields, 5).flatMap((summary) => bytesOf(fieldsOf(summary), 1));
  return {
    wallTime: bytesOf(fields, 1)[0]?.readDoubleLE(),
    step: (fields.find(([number]) => number === 2)?.[1] ?? 0n) as bigint,
    version: bytesOf(fields, 3)[0]?.toString(),
    isRestart: bytesOf(fields, 7).some((log) => log.equals(Buffer.from([8, 1]))),
    scalars: Object.fromEntries(
      values
        .map(fieldsOf)
        .map((value) => [String(bytesOf(value, 1)[0]), bytesOf(value, 2)[0]?.readFloatLE()]),
    ),
  };
}

async function readEvents(path: string): Promise<DecodedEvent[]> {
  const bytes = await readFile(path);
  const events: DecodedEvent[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    checkMask(bytes.readUInt32LE(at + 8), bytes.subarray(at, at + 8));
    checkMask(bytes.readUInt32LE(at + 12 + length), data);
    events.push(decodeEvent(data));
    at += 16 + length;
  }
  return events;
}

describe('crc32c', () => {
  it('gives the published values', () => {
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
    // RFC 3720, appendix B.4.
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(crc32c(Buffer.alloc(0)), 0);
  });

  it('masks by rotation and offset', () => {
    const bytes = Buffer.from('event');
    checkMask(maskedCrc32c(bytes), bytes);
  });
});

describe('TensorBoardWriter', () => {
  let folder: TestFolder;
  beforeEach(async () => {
    folder = await TestFolder.create();
  });
  afterEach(async () => {
    await folder.remove();
  });

  it('starts with the version and holds scalars by tag, step and time', async () => {
    let time = 1_700_000_000.25;
    const writer = await TensorBoardWriter.open({ folder: folder.path, now: () => time });
    assert.deepEqual(await readdir(folder.path), ['events.out.tfevents.1700000000.facellm']);
    writer.add(1, { 'train/loss': 2.5, 'train/learning_rate': 0 });
    time += 1;
    writer.add(2 ** 40 + 300, { größe: -1.5 });
    await writer.close();
    assert.deepEqual(await readEvents(writer.path), [
      event({ version: 'brain.Event:2' }),
      event({ step: 1n, scalars: { 'train/loss': 2.5, 'train/learning_rate': 0 } }),
      event({ wallTime: 1_700_000_001.25, step: 2n ** 40n + 300n, scalars: { größe: -1.5 } }),
    ]);
  });

  it('writes each number of a record', async () => {
    const record: StepRecord = {
      step: 7,
      totalSteps: 10,
      epoch: 0.75,
      loss: 1.5,
      learningRate: 0.125,
      gradNorm: 0.25,
      elapsedSeconds: 3,
      samplesPerSecond: 40,
      computedShare: 1,
      tokensPerSecond: 4000,
      totalTokens: 1,
      peakBytes: 1.5 * 1024 ** 3,
    };
    const writer = await TensorBoardWriter.open({ folder: folder.path });
    writer.append(record);
    await writer.flush();
    const last = (await readEvents(writer.path)).at(-1);
    assert.equal(last?.step, 7n);
    assert.deepEqual(last?.scalars, {
      'train/loss': 1.5,
      'train/learning_rate': 0.125,
      'train/grad_norm': 0.25,
      'train/epoch': 0.75,
      'speed/samples_per_second': 40,
      'speed/tokens_per_second': 4000,
      'memory/peak_gib': 1.5,
    });
    await writer.close();
  });

  it('a resumed run starts a later file and withdraws the steps after its checkpoint', async () => {
    const now = (): number => 1_700_000_000;
    const first = await TensorBoardWriter.open({ folder: folder.path, now });
    await first.close();
    const second = await TensorBoardWriter.open({ folder: folder.path, resumeStep: 500, now });
    await second.close();
    assert.deepEqual((await readdir(folder.path)).sort(), [
      'events.out.tfevents.1700000000.facellm',
      'events.out.tfevents.1700000001.facellm',
    ]);
    const [version, restart] = await readEvents(second.path);
    assert.equal(version?.version, 'brain.Event:2');
    assert.ok(restart?.isRestart);
    assert.equal(restart?.step, 501n);
  });

  it('says which folder is missing', async () => {
    const error = await errorOf(TensorBoardWriter.open({ folder: folder.at('none') }));
    assert.equal(error.code, 'FACELLM_RUN_WRITE');
    assert.ok(error.message.includes(folder.at('none')));
  });
});

function event(given: Partial<DecodedEvent>): DecodedEvent {
  const base = { wallTime: 1_700_000_000.25, step: 0n, version: undefined, isRestart: false };
  return { ...base, scalars: {}, ...given };
}
