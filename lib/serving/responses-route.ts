/** `POST /v1/responses`: a chat completion in the newer protocol's words; stateless. */
import { ApiError } from './api-error.js';
import { answerChat } from './chat-route.js';
import type { Exchange, Reply } from './exchange.js';
import { ResponsesAnswer } from './responses-answer.js';
import { convertResponses } from './responses-request.js';
import { type Work, withWork } from './work.js';

export function responsesRoute(exchange: Exchange): Promise<Reply> {
  return withWork(exchange, answerResponses, 'responses');
}

export async function answerResponses(work: Work): Promise<Reply> {
  const { policy } = work.exchange.state;
  const { parsed, echo, rename } = convertResponses(work.parsed, policy.ignoresUnknown);
  try {
    return await answerChat({ ...work, parsed }, new ResponsesAnswer(echo));
  } catch (error) {
    throw error instanceof ApiError ? rename(error) : error;
  }
}
