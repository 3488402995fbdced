/** `POST /v1/plan`: how pictures will be cut and what a question will take; the model does not run. */
import type { ImagePlan } from '../model/index.js';
import type { ChatMessage } from '../chat/index.js';
import { facesWritten } from './face-fields.js';
import type { Exchange, Reply } from './exchange.js';
import { checkPictureCount, type Detail, PictureReader, promptOf } from './message-fields.js';
import type { Policy } from './options.js';
import type { ParsedBody } from './parse-body.js';
import type { PictureField } from './picture-intake.js';
import {
  IGNORED_FIELDS,
  PROMPT_FIELDS,
  type PromptFields,
  readPromptFields,
} from './prompt-fields.js';
import { type AskedQuestion, readQuestion } from './question-fields.js';
import { Fields, Problems } from './values.js';
import { takePictures } from './take-pictures.js';
import { withWork } from './work.js';

interface PlanRequest extends PromptFields, AskedQuestion {
  readonly pictures: readonly PictureField[];
  readonly detail: Detail | undefined;
}

const KNOWN: readonly string[] = [
  ...['messages', 'images', 'question'],
  ...PROMPT_FIELDS,
  ...IGNORED_FIELDS,
];

/** @throws ApiError naming all that is wrong */
function readPlanRequest({ body, pictures: parsed }: ParsedBody, policy: Policy): PlanRequest {
  const problems = new Problems();
  const fields = new Fields(body, problems);
  if (!policy.ignoresUnknown) fields.refuseOthers(KNOWN);
  const reader = new PictureReader(parsed, problems);
  const asked = readQuestion(fields, reader, false);
  if (reader.pictures.length === 0 && asked.question === '') {
    problems.wrong('images', 'pictures, a question or both');
  }
  checkPictureCount(reader.pictures, policy, problems);
  const request: PlanRequest = {
    ...readPromptFields(fields, policy),
    ...asked,
    pictures: reader.pictures,
    detail: reader.detail(),
  };
  problems.throwIfAny();
  return request;
}

export function planRoute(exchange: Exchange): Promise<Reply> {
  return withWork(exchange, async (work) => {
    const { state } = exchange;
    const { model, admission, catalogue } = state;
    const request = readPlanRequest(work.parsed, state.policy);
    const id = request.model ?? catalogue.base;
    const held = catalogue.hold(id, request.adapters);
    try {
      const { images, giveAll } = await takePictures(work, request.pictures);
      try {
        const options = {
          ...promptOf(request, model.config),
          adapters: held.adapters,
          signal: work.signal,
        };
        const plan = await model.plan(images, options);
        const whole =
          request.question === ''
            ? plan.promptTokens
            : (await model.measure([turnOf(images, request.question)], options)).promptTokens;
        return {
          object: 'facellm.plan',
          model: id,
          images: plan.images.map(written),
          ...facesWritten(plan.faces),
          prompt_tokens: whole,
          fits: whole < model.maxContext && plan.tiles <= state.policy.limits.tiles,
          max_model_len: model.maxContext,
          // At the rate that was measured lately; nothing is known before the first request.
          estimate_ms: admission.rate.wait(admission.queue.waitingCost + whole) || null,
        };
      } finally {
        giveAll();
      }
    } finally {
      held.release();
    }
  });
}

function turnOf(images: readonly Uint8Array[], question: string): ChatMessage {
  return {
    role: 'user',
    content: [
      ...images.map((image) => ({ type: 'image', image }) as const),
      { type: 'text', text: question },
    ],
  };
}

/** Boxes are stretches of the upright picture in its own pixels, row by row; a thumbnail, last, is all of it. */
function written({ width, height, columns, rows, ...cut }: ImagePlan): object {
  const [w, h] = [width / columns, height / rows];
  const boxes = Array.from({ length: columns * rows }, (_, i) => [
    (i % columns) * w,
    Math.floor(i / columns) * h,
    w,
    h,
  ]);
  return {
    ...{ width, height, columns, rows },
    tiles: cut.tiles,
    thumbnail: cut.hasThumbnail,
    boxes: cut.hasThumbnail ? [...boxes, [0, 0, width, height]] : boxes,
    prompt_tokens: cut.promptTokens,
  };
}
