/** What a run will take, from its list and its first pictures, before it is begun. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { AnswerResult } from '../generation/index.js';
import { prefetch } from '../jobs/index.js';
import type { ExtractResult } from '../model/index.js';
import { annotatePicture } from './annotate-picture.js';
import type { AnnotatingModel } from './answers.js';
import { type AnnotateOptions, isRetried, prepare } from './options.js';
import { listPictures } from './pictures.js';
import { type CheckEvent, leaveChanged } from './changed.js';
import { readPlaces } from './places.js';
import { openWorkFolder } from './work-folder.js';

export interface AnnotationPlan {
  readonly pictures: number;
  /** Not yet done by an earlier start of the same run. */
  readonly left: number;
  /** How many of them were asked for this; what follows is by them, and nothing of it is kept. */
  readonly sampled: number;
  readonly rows: number;
  /** Of prompts, pictures' tokens among them. */
  readonly tokens: number;
  /** In one process, others at work on the machine as they were meanwhile. */
  readonly seconds: number;
  /** Of the journals; tables are smaller. */
  readonly journalBytes: number;
  /** That a question held at its most, of keys, values and pictures. */
  readonly peakBytes: number;
}

export interface PlanAnnotationOptions extends AnnotateOptions {
  /** While it is told whether answered pictures have changed since, where an earlier start is there. */
  readonly onCheck?: ((event: CheckEvent) => void) | undefined;
}

const SAMPLED = 8;

/**
 * Asks the first eight pictures that are left. Writes nothing, but goes by what an earlier start has written.
 *
 * @throws as annotate
 */
export async function planAnnotation({
  onCheck,
  ...given
}: PlanAnnotationOptions): Promise<AnnotationPlan> {
  const { options, fields, faces, settings, folder, ahead, isFaceLlm } = prepare(given);
  const { calibration, schema, signal = new AbortController().signal, limit } = options;
  const { root, files: listed } = await listPictures(options.input);
  let files: readonly string[] = listed.slice(0, limit ?? listed.length);
  let isDone: (place: number) => boolean = () => false;
  let left = files.length;
  if ((await stat(folder).catch(() => undefined)) !== undefined) {
    ({ files } = await openWorkFolder(folder, settings, listed, { keeps: false, limit }));
    const { changed, retryFailed = false } = options;
    const places = await readPlaces(folder, files.length, {
      isRetried: (rows) => isRetried(rows, retryFailed),
    });
    await leaveChanged(places, { files, root, changed, signal, onCheck });
    isDone = (place) => places.has(place);
    left = places.missing;
  }
  const sample: string[] = [];
  for (let place = 0; place < files.length && sample.length < SAMPLED; place++) {
    if (!isDone(place)) sample.push(files[place] ?? '');
  }
  let tokens = 0;
  let peakBytes = 0;
  const count = <T extends { readonly promptTokens: number; readonly peakBytes: number }>(
    result: T,
  ): T => {
    tokens += result.promptTokens;
    peakBytes = Math.max(peakBytes, result.peakBytes);
    return result;
  };
  const asked: AnnotatingModel = options.model;
  const model: AnnotatingModel = {
    fingerprint: asked.fingerprint,
    choose: async (request) => (await asked.choose(request)).map(count),
    ask: (request) => ({
      result: async () => count((await asked.ask?.(request).result()) as AnswerResult),
    }),
    extract: async (request) => count((await asked.extract?.(request)) as ExtractResult<unknown>),
  };
  const work = { model, fields, schema, calibration, faces, isFaceLlm, signal };
  const startedAt = performance.now();
  let rows = 0;
  let journalBytes = 0;
  const annotated = prefetch(sample, Math.min(ahead, SAMPLED), (file) =>
    annotatePicture(work, file, join(root, file)),
  );
  for await (const own of annotated) {
    rows += own.rows.length;
    journalBytes += Buffer.byteLength(JSON.stringify(own));
  }
  const factor = sample.length === 0 ? 0 : left / sample.length;
  const whole = (value: number): number => Math.round(value * factor);
  return {
    ...{ pictures: files.length, left, sampled: sample.length, peakBytes },
    ...{ rows: whole(rows), tokens: whole(tokens), journalBytes: whole(journalBytes) },
    seconds: ((performance.now() - startedAt) / 1000) * factor,
  };
}
