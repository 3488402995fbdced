/** One HTTP request and its answer, with what was made of it so far. */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Caller } from './keys.js';
import type { RequestFacts } from './request-facts.js';
import type { ServerState } from './state.js';

export interface Exchange {
  readonly state: ServerState;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly caller: Caller;
  readonly facts: RequestFacts;
  /** Every answer has them. */
  readonly headers: Record<string, string>;
}

/** Sent as JSON; undefined: the answer has been written already. */
export type Reply = object | undefined;
export type Handler = (exchange: Exchange) => Promise<Reply> | Reply;
