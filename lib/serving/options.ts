/** What a server is started with: every option, its bounds and its default. */
import type { z } from 'zod';

import { createError } from '../errors.js';
import { type PictureFaces, pictureFaces } from '../faces/index.js';
import {
  callback,
  checkFields,
  field,
  fields,
  flag,
  list,
  name,
  type Shape,
  text as anyText,
  whole,
} from '../options/index.js';
import {
  type Calibrations,
  calibrationsShape,
  type FaceLlm,
  type LoadOptions,
} from '../model/index.js';
import { RemotePictures } from './remote-pictures.js';

/** Bounds on requests and on what is under way. Bytes, milliseconds. */
export interface ServerLimits {
  /** @default 24 MiB */
  readonly bodyBytes: number;
  /** Of bodies that are being read or parsed. @default 256 MiB */
  readonly bodyBytesInFlight: number;
  /** Pictures of a request. @default 8 */
  readonly images: number;
  /** Of a picture's file. @default 12 MiB */
  readonly imageBytes: number;
  /** Of a picture. @default 50,000,000 */
  readonly imagePixels: number;
  /** Tiles of a request's pictures together. @default 40 */
  readonly tiles: number;
  /** Bytes of pictures decoded and not yet with the engine. @default 400,000,000 */
  readonly decodedBytes: number;
  /** Tokens of an answer at most. @default 4096 */
  readonly maxTokens: number;
  /** Where a request does not say. @default 512 */
  readonly defaultMaxTokens: number;
  /** Answers to one request. @default 8 */
  readonly answers: number;
  /** Requests that wait. @default 256 */
  readonly queue: number;
  /**
   * Of new schemas of one key that are compiled at a time, or wait to be: one that takes all the time it may takes 2 s. Only what
   * is written under a grammar needs it. @default 32
   */
  readonly grammars: number;
  /** Work that waits, as long as it takes at the measured rate. @default 30,000 */
  readonly maxWait: number;
  /** Until the request begins. @default 60,000 */
  readonly queueTimeout: number;
  /** For request lines and headers. @default 10,000 */
  readonly headerTimeout: number;
  /** For the whole request with its body. @default 30,000 */
  readonly bodyTimeout: number;
  /** Of an answer that is not streamed: Node's fetch gives up after 300 s. @default 280,000 */
  readonly answerTimeout: number;
  /** @default 600,000 */
  readonly streamTimeout: number;
  /** A reader of a stream that takes nothing for so long is cut off. @default 30,000 */
  readonly stallTimeout: number;
  /** Steps of a stream that are closer are joined. @default 0 */
  readonly streamInterval: number;
  /** How long requests under way may take once the server is told to end. @default 30,000 */
  readonly drainTimeout: number;
  /** `/health` answers 503 where the engine works and has got nowhere for so long. @default 60,000 */
  readonly stallLimit: number;
  /** Of a file of requests, `POST /v1/files`. @default 64 MiB */
  readonly batchFileBytes: number;
  /** Of all such files together. @default 4 GiB */
  readonly batchBytes: number;
  /** How long files, and batches that are over, are kept. @default 30 days */
  readonly batchKeep: number;
  /** Connections. @default 1024 */
  readonly connections: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  bodyBytes: 24 * 2 ** 20,
  bodyBytesInFlight: 256 * 2 ** 20,
  images: 8,
  imageBytes: 12 * 2 ** 20,
  imagePixels: 50_000_000,
  tiles: 40,
  decodedBytes: 400_000_000,
  maxTokens: 4096,
  defaultMaxTokens: 512,
  answers: 8,
  queue: 256,
  grammars: 32,
  maxWait: 30_000,
  queueTimeout: 60_000,
  headerTimeout: 10_000,
  bodyTimeout: 30_000,
  answerTimeout: 280_000,
  streamTimeout: 600_000,
  stallTimeout: 30_000,
  streamInterval: 0,
  drainTimeout: 30_000,
  stallLimit: 60_000,
  batchFileBytes: 64 * 2 ** 20,
  batchBytes: 4 * 2 ** 30,
  batchKeep: 30 * 24 * 3600_000,
  connections: 1024,
};

export interface ServeOptions {
  /** A checkpoint folder or hub id to load, or a loaded model, which stays the caller's to dispose of. */
  readonly model: string | FaceLlm;
  /** Of loading. Its `adapter` folders become models of their own beside the base. */
  readonly load?: Omit<LoadOptions, 'signal'> | undefined;
  /**
   * Of `loadCalibration`: answers to their questions have calibrated probabilities beside the model's own. Each must be of this
   * model, with none or some of its adapters. @default none
   */
  readonly calibration?: Calibrations | undefined;
  /** Id of the base model. @default the last part of the model's name; `facellm` for a loaded one */
  readonly servedName?: string | undefined;
  /** @default 127.0.0.1 */
  readonly host?: string | undefined;
  /** 0: any free one. @default 8000 */
  readonly port?: number | undefined;
  /** Lines `name:sha256-hex[:rights]`, as `facellm keygen` prints them. @default none: open, on loopback only */
  readonly apiKeys?: readonly string[] | undefined;
  /** Serves without keys on an address that others reach. @default false */
  readonly insecureNoAuth?: boolean | undefined;
  /** Names by which clients may call the server, beside its address and loopback. */
  readonly allowHosts?: readonly string[] | undefined;
  /** Origins of web pages that may call it, exactly. @default none but the server's own */
  readonly corsOrigins?: readonly string[] | undefined;
  /** Folder whose sub-folders may be loaded as adapters by requests with the right `admin`. @default none */
  readonly adaptersRoot?: string | undefined;
  /**
   * Folder for files of requests and their answers, which makes `/v1/files` and `/v1/batches` be there: the only thing that a
   * server ever writes. @default none
   */
  readonly batches?: string | undefined;
  /**
   * Folders of training runs, or folders of such, to watch by requests with the right `metrics`; those with `admin` may load what
   * runs have written as adapters. They are read, never written. @default none
   */
  readonly runs?: readonly string[] | undefined;
  /**
   * Hosts that pictures given by their address are fetched from, exact names; `any`: every public one, so that who may ask can make
   * the server ask strangers. https only, never private addresses. @default none
   */
  readonly imageHosts?: readonly string[] | 'any' | undefined;
  /** Formats beside JPEG, PNG, WebP and GIF. */
  readonly extraFormats?: readonly ('avif' | 'tiff')[] | undefined;
  /** Temperature of a request that gives none; 0 is the most probable answer. @default 0 */
  readonly defaultTemperature?: number | undefined;
  /** Of requests that do not say whether their pictures are brought to chips of faces. @default as the model was trained, else off */
  readonly faces?: PictureFaces | undefined;
  /** Unknown fields of a request. @default refuse */
  readonly unknownFields?: 'refuse' | 'ignore' | undefined;
  /** @default facellm: */
  readonly metricsPrefix?: string | undefined;
  readonly limits?: Partial<ServerLimits> | undefined;
  /**
   * Gets a line of JSON for each finished request; what it throws, or its promise rejects with, is nobody's concern.
   * @default nothing is logged
   */
  readonly onLog?: ((line: string) => unknown) | undefined;
  /** Called once, when nothing that the model says can be trusted any more; the server answers 503 from then on. */
  readonly onFatal?: ((error: unknown) => void) | undefined;
  /** Ends loading. */
  readonly signal?: AbortSignal | undefined;
}

const most = (limit: keyof ServerLimits): number =>
  limit.endsWith('Timeout') || limit.startsWith('st') || limit === 'maxWait'
    ? 2 ** 31 - 1
    : Number.MAX_SAFE_INTEGER;
const limitShape = Object.fromEntries(
  (Object.keys(DEFAULT_LIMITS) as (keyof ServerLimits)[]).map((limit) => [
    limit,
    whole(limit === 'streamInterval' || limit === 'queue' ? 0 : 1, most(limit)).optional(),
  ]),
);
const text = (expected: string) => name(expected);
/** Of what answers follow from, with a server or without one. */
export const answerShapes: Shape<Pick<ServeOptions, 'calibration' | 'servedName' | 'faces'>> = {
  ...calibrationsShape,
  servedName: field<string>(
    'letters, digits and . _ - / (1..128)',
    (value) => typeof value === 'string' && /^[\w./-]{1,128}$/.test(value),
  ).optional(),
  faces: pictureFaces.optional(),
};
/** As a URL has it: lower case, no port, no address in odd writing. */
const isHostName = (value: unknown): boolean =>
  typeof value === 'string' &&
  URL.canParse(`https://${value}`) &&
  new URL(`https://${value}`).host === value;
const isOrigin = (value: unknown): boolean => {
  if (typeof value !== 'string') return false;
  return URL.canParse(value) && new URL(value).origin === value && value !== 'null';
};

const serveOptions: z.ZodType<ServeOptions> = fields<ServeOptions>({
  model: field<string | FaceLlm>(
    'a checkpoint folder, a hub id, or a loaded model',
    (value) => (typeof value === 'string' && value !== '') || typeof value === 'object',
  ),
  // FaceLlm.load checks them.
  load: field<Omit<LoadOptions, 'signal'>>(
    'load options',
    (value) => typeof value === 'object' && value !== null,
  ).optional(),
  ...answerShapes,
  host: text('an address or a name').optional(),
  port: whole(0, 65_535).optional(),
  apiKeys: list(anyText('name:sha256-hex[:rights]'), 'a list of keys', 1).optional(),
  insecureNoAuth: flag.optional(),
  allowHosts: list(text('a host name'), 'a list of host names').optional(),
  corsOrigins: list(
    field<string>('an origin such as https://example.com', isOrigin),
    'a list of origins',
  ).optional(),
  adaptersRoot: text('a folder').optional(),
  batches: text('a folder').optional(),
  runs: list(text('a folder'), 'a list of folders', 1).optional(),
  imageHosts: field<readonly string[] | 'any'>(
    'host names, or any',
    (value) =>
      value === 'any' || (Array.isArray(value) && value.length > 0 && value.every(isHostName)),
  ).optional(),
  extraFormats: list(
    field<'avif' | 'tiff'>('avif or tiff', (value) => value === 'avif' || value === 'tiff'),
    'a list of formats',
  ).optional(),
  defaultTemperature: field<number>(
    'a number of 0..2',
    (value) => typeof value === 'number' && value >= 0 && value <= 2,
  ).optional(),
  unknownFields: field<'refuse' | 'ignore'>(
    'refuse or ignore',
    (value) => value === 'refuse' || value === 'ignore',
  ).optional(),
  metricsPrefix: field<string>(
    'letters, digits, _ and :',
    (value) => typeof value === 'string' && /^[a-zA-Z_:][\w:]*$/.test(value),
  ).optional(),
  limits: fields(limitShape as never).optional(),
  onLog: callback<(line: string) => unknown>().optional(),
  onFatal: callback<(error: unknown) => void>().optional(),
  signal: field<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal).optional(),
});

const CANNOT_START = 'the server cannot be started so';

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing all that is wrong */
export function checkServeOptions(options: ServeOptions): ServeOptions {
  const checked = checkFields(serveOptions, options, CANNOT_START);
  const { limits } = policyOf(checked);
  const most = limits.images * limits.imageBytes;
  if (checked.imageHosts === undefined || most <= limits.bodyBytesInFlight) return checked;
  throw createError('FACELLM_INVALID_ARGUMENT', CANNOT_START, {
    details: [
      `limits.bodyBytesInFlight: expected at least ${most}, as much as a request's pictures may be that are fetched ` +
        `(images ${limits.images} x imageBytes ${limits.imageBytes}), got ${limits.bodyBytesInFlight}; allow fewer or smaller pictures, or more bytes`,
    ],
  });
}

/** What requests are held to, with every default in place. */
export interface Policy {
  readonly limits: ServerLimits;
  readonly defaultTemperature: number;
  readonly ignoresUnknown: boolean;
  readonly faces: PictureFaces | undefined;
  readonly extraFormats: readonly string[];
  readonly adaptersRoot: string | undefined;
  /** Undefined: pictures come as bytes only. */
  readonly remote: RemotePictures | undefined;
}

export function policyOf(options: Omit<ServeOptions, 'model'>): Policy {
  const given = Object.entries(options.limits ?? {}).filter(([, value]) => value !== undefined);
  return {
    limits: { ...DEFAULT_LIMITS, ...Object.fromEntries(given) },
    defaultTemperature: options.defaultTemperature ?? 0,
    faces: options.faces,
    ignoresUnknown: options.unknownFields === 'ignore',
    extraFormats: options.extraFormats ?? [],
    adaptersRoot: options.adaptersRoot,
    remote: remoteOf(options.imageHosts, options.limits?.imageBytes ?? DEFAULT_LIMITS.imageBytes),
  };
}

function remoteOf(
  hosts: ServeOptions['imageHosts'],
  mostBytes: number,
): RemotePictures | undefined {
  if (hosts === undefined) return undefined;
  return new RemotePictures({ hosts: hosts === 'any' ? 'any' : new Set(hosts), mostBytes });
}
