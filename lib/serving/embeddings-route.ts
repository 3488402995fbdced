/** `POST /v1/embeddings`: pictures to the vectors that the language model sees. Not made for telling people apart. */
import type { ImageEmbedding } from '../model/index.js';
import type { Exchange, Reply } from './exchange.js';
import { readEmbeddingsRequest } from './embeddings-request.js';
import { facesWritten } from './face-fields.js';
import { promptOf } from './message-fields.js';
import { makeReady, type Work, withWork } from './work.js';

export function embeddingsRoute(exchange: Exchange): Promise<Reply> {
  return withWork(exchange, answerEmbeddings);
}

export async function answerEmbeddings(work: Work): Promise<Reply> {
  const { state, facts } = work.exchange;
  const request = readEmbeddingsRequest(work.parsed, state.policy);
  const ready = await makeReady(work, {
    ...{ fields: request, pictures: request.pictures },
    ...{ answers: 1, maxTokens: 0 },
    timeoutMs: state.policy.limits.answerTimeout,
  });
  try {
    const embeddings = await state.model.embedImages(ready.images, {
      ...promptOf(request, state.model.config),
      adapters: ready.adapters,
      whenPrepared: ready.whenPrepared,
      signal: work.signal,
    });
    facts.finishReason = 'stop';
    const seen = [...new Set(embeddings.flatMap(({ faces }) => faces ?? []))];
    return {
      object: 'list',
      data: embeddings.map((one, index) => ({
        object: 'embedding',
        index,
        ...written(one, request),
      })),
      model: request.model ?? facts.model,
      usage: { prompt_tokens: facts.promptTokens, total_tokens: facts.promptTokens },
      facellm: {
        adapters: facts.adapters,
        tiles: facts.tiles,
        ...facesWritten(seen.length === 0 ? undefined : seen),
        timings_ms: facts.timings(),
      },
    };
  } finally {
    ready.done();
  }
}

/** The mean of the vectors, at length 1. */
export function meanOf({ tokens, dimension, data }: ImageEmbedding): Float32Array {
  const sums = new Float64Array(dimension);
  for (let i = 0; i < data.length; i++) {
    const at = i % dimension;
    sums[at] = (sums[at] ?? 0) + (data[i] ?? 0) / tokens;
  }
  const length = Math.sqrt(sums.reduce((sum, value) => sum + value * value, 0));
  return Float32Array.from(sums, (value) => (length === 0 ? 0 : value / length));
}

function written(
  embedding: ImageEmbedding,
  { pooling, encoding }: { pooling: 'mean' | 'none'; encoding: 'float' | 'base64' },
): object {
  const { tokens, dimension, data } = embedding;
  const values = pooling === 'mean' ? meanOf(embedding) : data;
  const shape = pooling === 'mean' ? [dimension] : [tokens, dimension];
  if (encoding === 'base64') {
    // Little-endian on every machine that this runs on.
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    return { embedding: bytes.toString('base64'), shape };
  }
  if (pooling === 'mean') return { embedding: [...values], shape };
  const rows = Array.from({ length: tokens }, (_, row) => [
    ...data.subarray(row * dimension, (row + 1) * dimension),
  ]);
  return { embedding: rows, shape };
}
