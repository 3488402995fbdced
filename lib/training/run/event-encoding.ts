/**
 * TensorBoard's events as bytes: the few fields of tensorflow/core/util/event.proto and
 * framework/summary.proto that scalars need, and the TFRecord frame around each event.
 *
 *     Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5;
 *               SessionLog session_log = 7; }
 *     Summary { repeated Value value = 1; }   Value { string tag = 1; float simple_value = 2; }
 *     SessionLog { SessionStatus status = 1; }   START = 1
 */
import { maskedCrc32c } from './crc32c.js';

/** Protobuf wire types. */
const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

export type EventBody =
  | { readonly type: 'version'; readonly version: string }
  | { readonly type: 'scalars'; readonly scalars: Readonly<Record<string, number>> }
  /** From here on `step` and later ones are told anew: readers forget what they had of them. */
  | { readonly type: 'restart' };

export interface TensorBoardEvent {
  /** Seconds since 1970. */
  readonly wallTime: number;
  readonly step: number;
  readonly body: EventBody;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  // Division, not shifts: steps may pass 2^31.
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

function key(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}

function doubleField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([key(field, FIXED64), bytes]);
}

function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([key(field, FIXED32), bytes]);
}

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([key(field, VARINT), varint(value)]);
}

function bytesField(field: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([key(field, LENGTH_DELIMITED), varint(bytes.length), bytes]);
}

function encodeBody(body: EventBody): Buffer {
  switch (body.type) {
    case 'version':
      return bytesField(3, body.version);
    case 'restart':
      return bytesField(7, varintField(1, 1));
    case 'scalars': {
      const values = Object.entries(body.scalars).map(([tag, value]) =>
        bytesField(1, Buffer.concat([bytesField(1, tag), floatField(2, value)])),
      );
      return bytesField(5, Buffer.concat(values));
    }
  }
}

/** The protobuf message of one event. */
export function encodeEvent({ wallTime, step, body }: TensorBoardEvent): Buffer {
  return Buffer.concat([doubleField(1, wallTime), varintField(2, step), encodeBody(body)]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Length (u64), its checksum, the data, their checksum; all little-endian. */
export function frameRecord(data: Uint8Array): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, uint32(maskedCrc32c(length)), data, uint32(maskedCrc32c(data))]);
}
