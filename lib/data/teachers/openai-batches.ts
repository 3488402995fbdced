/** OpenAI's Batch API for chat completions, and servers that copy it. */
import { createReadStream } from 'node:fs';

import type OpenAI from 'openai';
import { z } from 'zod';

import { parseJson } from '../../files/index.js';
import type { BatchLine, BatchService, BatchStatus } from './batch-service.js';
import { type CompletionBody, readCompletion } from './chat-completion.js';
import { failureKind } from './openai-failure.js';
import { isTeacherFailure, TeacherFailure, type TeacherRequest } from './exchange.js';

const ENDPOINT = '/v1/chat/completions';
/** Batches looked through for one that a killed process made; the newest come first. */
const MAX_LOOKED_AT = 200;

const lineSchema = z.object({
  custom_id: z.string(),
  response: z.object({ status_code: z.number(), body: z.unknown() }).nullish(),
  error: z.object({ code: z.string().nullish(), message: z.string().nullish() }).nullish(),
});
const errorBodySchema = z.object({
  error: z.object({ message: z.string().optional(), code: z.string().nullish() }),
});

/** One line of a result file. @throws TeacherFailure if it is none */
export function readBatchLine(text: string): BatchLine {
  const json = parseJson(text);
  const parsed = lineSchema.safeParse(json.isValid ? json.value : undefined);
  if (!parsed.success) {
    throw new TeacherFailure(
      'passing',
      `a result line of the batch cannot be read: ${text.slice(0, 80)}`,
    );
  }
  const { custom_id: key, response, error } = parsed.data;
  if (!response) {
    if (error?.code === 'batch_expired' || error?.code === 'batch_cancelled') {
      return { key, outcome: undefined };
    }
    return { key, outcome: new TeacherFailure('passing', error?.message ?? 'no response') };
  }
  if (response.status_code !== 200) {
    const body = errorBodySchema.safeParse(response.body);
    const { message, code } = body.success ? body.data.error : {};
    const kind = failureKind(response.status_code, code);
    const reason = message ?? `status ${response.status_code}`;
    return { key, outcome: new TeacherFailure(kind, reason) };
  }
  try {
    return { key, outcome: readCompletion(response.body) };
  } catch (failure) {
    if (isTeacherFailure(failure)) return { key, outcome: failure };
    throw failure;
  }
}

/** Lines of a body that comes in pieces. */
async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of body) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  yield rest + decoder.decode();
}

const STATES: Readonly<Record<string, BatchStatus['state']>> = {
  completed: 'ended',
  expired: 'ended',
  failed: 'failed',
  cancelled: 'failed',
};

/** A teacher as its batches use it. */
export interface OpenAiAccess {
  readonly client: OpenAI;
  /** A request as single ones are sent. */
  body(request: TeacherRequest): Promise<CompletionBody>;
  failure(error: unknown): TeacherFailure;
}

export class OpenAiBatches implements BatchService {
  readonly #teacher: OpenAiAccess;

  constructor(teacher: OpenAiAccess) {
    this.#teacher = teacher;
  }

  async line(key: string, request: TeacherRequest): Promise<string> {
    const body = await this.#teacher.body(request);
    return `${JSON.stringify({ custom_id: key, method: 'POST', url: ENDPOINT, body })}\n`;
  }

  upload(path: string): Promise<string> {
    return this.#call(async (client) => {
      const file = await client.files.create({ file: createReadStream(path), purpose: 'batch' });
      return file.id;
    });
  }

  find(fileId: string): Promise<string | undefined> {
    return this.#call(async (client) => {
      let looked = 0;
      for await (const batch of client.batches.list({ limit: 100 })) {
        if (batch.input_file_id === fileId) return batch.id;
        if (++looked >= MAX_LOOKED_AT) break;
      }
      return undefined;
    });
  }

  submit(fileId: string): Promise<string> {
    return this.#call(async (client) => {
      const batch = await client.batches.create({
        input_file_id: fileId,
        endpoint: ENDPOINT,
        completion_window: '24h',
      });
      return batch.id;
    });
  }

  status(batchId: string): Promise<BatchStatus> {
    return this.#call(async (client) => {
      const batch = await client.batches.retrieve(batchId);
      const { status, request_counts: counts, errors } = batch;
      const files = [batch.output_file_id, batch.error_file_id];
      return {
        status,
        state: STATES[status] ?? 'working',
        done: (counts?.completed ?? 0) + (counts?.failed ?? 0),
        total: counts?.total ?? 0,
        resultFiles: files.filter((file): file is string => typeof file === 'string'),
        message: (errors?.data ?? []).map(({ message }) => message ?? '').join('; '),
      };
    });
  }

  async *results(fileId: string): AsyncGenerator<BatchLine> {
    try {
      const response = await this.#teacher.client.files.content(fileId);
      if (response.body === null) return;
      for await (const line of linesOf(response.body)) {
        if (line.trim() !== '') yield readBatchLine(line);
      }
    } catch (error) {
      throw this.#teacher.failure(error);
    }
  }

  async #call<T>(work: (client: OpenAI) => Promise<T>): Promise<T> {
    try {
      return await work(this.#teacher.client);
    } catch (error) {
      throw this.#teacher.failure(error);
    }
  }
}
