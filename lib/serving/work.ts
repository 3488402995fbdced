/**
 * The life of a request that the engine is asked: let in, read, its pictures taken, prepared, queued, computed; and how it
 * ends early: the client goes, time runs out, the server ends.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { GrammarClient } from '../generation/index.js';
import type { Adapter, PreparedPrompt } from '../model/index.js';
import {
  ApiError,
  ClientGone,
  generationTimeout,
  queueTimeout,
  shuttingDown,
  tooBusy,
} from './api-error.js';
import type { Exchange } from './exchange.js';
import { requireRight } from './keys.js';
import type { BodyKind, ParsedBody } from './parse-body.js';
import type { PictureField } from './picture-intake.js';
import type { PromptFields } from './prompt-fields.js';
import { readBody } from './read-body.js';
import type { EngineState } from './state.js';
import { takePictures } from './take-pictures.js';

/** Tokens that an answer is taken to have, of those that it may have: most end long before. */
const LIKELY_SHARE = 0.5;
/** Longest that timers take. */
const MOST_MS = 2 ** 31 - 1;
/** A grammar of the worst kind is compiled by then. */
const GRAMMAR_MS = 2000;

/** Of an HTTP request, or of a line of a batch. */
export interface Asking extends Pick<Exchange, 'caller' | 'facts' | 'headers'> {
  readonly state: EngineState;
  readonly incoming: Pick<IncomingMessage, 'headers'>;
  /** Undefined: nobody reads a stream. */
  readonly outgoing: ServerResponse | undefined;
}

export interface Work {
  readonly exchange: Asking;
  /** Waits for as long as anybody else waits. @default false */
  readonly isBackground?: boolean;
  readonly parsed: ParsedBody;
  /** Ends the work. */
  readonly signal: AbortSignal;
  readonly stop: (reason: unknown) => void;
}

/**
 * @param run what the route does; its promise ends the work
 * @throws ApiError; ClientGone
 */
export async function withWork<T>(
  exchange: Exchange,
  run: (work: Work) => Promise<T>,
  kind: BodyKind = 'usual',
): Promise<T> {
  const { state, incoming, outgoing } = exchange;
  checkContentType(incoming.headers['content-type']);
  const abort = new AbortController();
  const stop = (reason: unknown): void => abort.abort(reason);
  const entry = state.admission.enter(Number(incoming.headers['content-length'] ?? 0), stop);
  const gone = (): void => {
    if (!outgoing.writableEnded) stop(new ClientGone('the client went away'));
  };
  const end = (): void => stop(state.ending.reason ?? shuttingDown());
  outgoing.once('close', gone);
  state.ending.addEventListener('abort', end, { once: true });
  const taken = { bytes: 0 };
  try {
    const { limits } = state.policy;
    const bytes = await readBody(incoming, {
      ...{ most: limits.bodyBytes, inFlight: state.admission.bodies },
      ...{ taken, signal: abort.signal },
    });
    entry.takePlace();
    const parsed = await state.parser.parse(bytes, kind);
    return await run({ exchange, parsed, signal: abort.signal, stop });
  } catch (error) {
    // What was stopped by us or by the client fails for that reason, whatever it met then.
    throw abort.signal.aborted ? abort.signal.reason : error;
  } finally {
    state.admission.bodies.give(taken.bytes);
    state.ending.removeEventListener('abort', end);
    outgoing.off('close', gone);
    entry.leave();
  }
}

function checkContentType(header: string | undefined): void {
  if (/^application\/json\s*(;|$)/i.test(header ?? '')) return;
  throw new ApiError(415, 'unsupported_media_type', 'expected content-type: application/json');
}

export interface Asked {
  readonly fields: PromptFields;
  readonly pictures: readonly PictureField[];
  readonly answers: number;
  readonly maxTokens: number;
  /** Milliseconds that the whole answer may take. */
  readonly timeoutMs: number;
}

/** What the library is asked with. */
export interface Ready {
  readonly images: readonly Uint8Array[];
  readonly adapters: readonly Adapter[];
  /** The library's hook: to be handed on. */
  readonly whenPrepared: (prompts: readonly PreparedPrompt[]) => Promise<void>;
  /** Resolves when the request is known to be sound; rejects never. */
  readonly prepared: Promise<void>;
  /** To be called when the answer is there. */
  readonly done: () => void;
}

/**
 * Takes a request's pictures, and its place in the queue once the library has prepared it.
 *
 * @throws ApiError
 */
export async function makeReady(work: Work, asked: Asked): Promise<Ready> {
  const { exchange, signal, isBackground = false } = work;
  const { state, facts, caller, incoming } = exchange;
  const { fields } = asked;
  if (fields.priority !== 0) requireRight(caller, 'priority');
  const model = fields.model ?? state.catalogue.base;
  const { adapters, release } = state.catalogue.hold(model, fields.adapters);
  Object.assign(facts, {
    model,
    adapters: adapters.map(({ name }) => name),
    answers: asked.answers,
    maxTokens: asked.maxTokens,
    images: asked.pictures.length,
  });
  const { policy, admission } = state;
  let endDeadlines = (): void => {};
  let giveAll = (): void => {};
  try {
    const deadline = startDeadlines(
      work,
      asked,
      clientTimeout(incoming.headers['x-stainless-timeout']),
    );
    endDeadlines = deadline.end;
    const taken = await takePictures(work, asked.pictures);
    giveAll = taken.giveAll;
    let tellPrepared = (): void => {};
    const prepared = new Promise<void>((resolve) => (tellPrepared = resolve));
    let leaveQueue = (): void => {};
    return {
      images: taken.images,
      adapters,
      prepared,
      whenPrepared: async (prompts) => {
        facts.tiles = prompts[0]?.tiles ?? [];
        facts.promptTokens = prompts.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
        checkTiles(facts.tiles, policy.limits.tiles);
        const cost = facts.promptTokens + 2 * LIKELY_SHARE * asked.maxTokens * asked.answers;
        if (!isBackground) admission.checkWait();
        tellPrepared();
        const queuedAt = performance.now();
        const { priority } = fields;
        const leave = await admission.queue.enter({
          ...{ caller: caller.name, cost, priority, signal, isBackground },
          rows: asked.answers,
        });
        facts.queueMs = performance.now() - queuedAt;
        deadline.begun();
        admission.rate.begin();
        taken.givePixels();
        leaveQueue = () => {
          leave();
          admission.rate.end(cost);
          leaveQueue = () => {};
        };
      },
      done: () => {
        endDeadlines();
        giveAll();
        leaveQueue();
        release();
      },
    };
  } catch (error) {
    endDeadlines();
    giveAll();
    release();
    throw error;
  }
}

/** As whom a schema's grammars are compiled. A batch's lines wait, and are as many at a time as a batch asks. */
export function grammarClient({ exchange, isBackground }: Work): GrammarClient {
  const { caller, state } = exchange;
  if (isBackground === true) return { name: caller.name, isBackground };
  const { grammars: most } = state.policy.limits;
  const refusal = (): Error => tooBusy('too many of your new schemas wait', GRAMMAR_MS);
  return { name: caller.name, bound: { most, refusal } };
}

function checkTiles(tiles: readonly number[], most: number): void {
  const sum = tiles.reduce((total, one) => total + one, 0);
  if (sum <= most) return;
  throw new ApiError(
    400,
    'too_many_tiles',
    `the pictures make ${sum} tiles, the limit is ${most}; send fewer, or tiles: "off"`,
    { param: 'tiles' },
  );
}

/** Seconds, as the openai SDK sends them; undefined where it says nothing. */
function clientTimeout(header: string | string[] | undefined): number | undefined {
  const seconds = Number(header);
  return header !== undefined && seconds > 0 && Number.isFinite(seconds)
    ? seconds * 1000
    : undefined;
}

interface Deadlines {
  readonly begun: () => void;
  readonly end: () => void;
}

/** @throws ApiError queue_timeout where it is clear already that the request cannot begin in time */
function startDeadlines(work: Work, asked: Asked, clientMs = MOST_MS): Deadlines {
  const { exchange, stop, isBackground } = work;
  if (isBackground === true) return backgroundDeadlines(work, asked);
  const { admission, policy } = exchange.state;
  const { elapsedMs } = exchange.facts;
  const mostMs = Math.min(asked.timeoutMs, asked.fields.timeoutMs ?? MOST_MS);
  const queueMs = Math.min(policy.limits.queueTimeout, clientMs, mostMs) - elapsedMs;
  if (queueMs <= 0 || (admission.queue.waiting > 0 && admission.expectedWait > queueMs)) {
    throw queueTimeout();
  }
  const ofQueue = setTimeout(() => stop(queueTimeout()), queueMs);
  const ofAll = setTimeout(() => stop(generationTimeout()), Math.max(1, mostMs - elapsedMs));
  return {
    begun: () => clearTimeout(ofQueue),
    end: () => {
      clearTimeout(ofQueue);
      clearTimeout(ofAll);
    },
  };
}

/** It may wait; once it has begun, it has the time that others have. */
function backgroundDeadlines({ stop }: Work, asked: Asked): Deadlines {
  let ofAll: NodeJS.Timeout | undefined;
  const mostMs = Math.min(asked.timeoutMs, asked.fields.timeoutMs ?? MOST_MS);
  return {
    begun: () => (ofAll = setTimeout(() => stop(generationTimeout()), mostMs)),
    end: () => clearTimeout(ofAll),
  };
}
