/**
 * An OpenAI-compatible teacher on loopback that can misbehave in every way that tests need. Its good
 * answers depend on the request alone, so that two runs over the same pictures can be compared.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Call {
  /** The same for every request about one picture with one prompt. */
  readonly key: string;
  /** Requests with this key so far, this one included. */
  readonly count: number;
  readonly prompt: string;
  /** Idempotency-Key header. */
  readonly idempotencyKey: string;
  readonly body: Record<string, unknown>;
}

export type Behaviour =
  | {
      readonly kind: 'answer';
      readonly text?: string;
      /** In place of `text`: whatever servers send. */
      readonly content?: unknown;
      /** Fields beside the content. */
      readonly message?: Readonly<Record<string, unknown>>;
      readonly finish?: string;
      readonly refusal?: string;
      readonly delayMs?: number;
      readonly withoutUsage?: boolean;
    }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: unknown;
    }
  /** Never replies; never ends its body; breaks off in the middle of it; replies with no JSON. */
  | { readonly kind: 'hang' | 'hang-body' | 'cut' | 'malformed' };

export const USAGE = { prompt_tokens: 500, completion_tokens: 100 };

export function goodAnswer(key: string): string {
  return `The face shows even features and calm lines, as seen in view ${key.slice(0, 8)}.`;
}

interface Batch {
  readonly id: string;
  readonly inputFile: string;
  looks: number;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** The one file of a multipart form; enough for what the SDK sends. */
function fileOf(form: string): string {
  const start = form.indexOf('filename=');
  const body = form.indexOf('\r\n\r\n', start) + 4;
  return form.slice(body, form.indexOf('\r\n--', body));
}

function sendJson(response: ServerResponse, value: unknown, status = 200, headers = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

function completion(key: string, behaviour: Extract<Behaviour, { kind: 'answer' }>): unknown {
  const { text = goodAnswer(key), finish = 'stop', refusal = null, withoutUsage } = behaviour;
  const { content = refusal === null ? text : null, message } = behaviour;
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    model: 'loopback-1',
    choices: [
      {
        index: 0,
        finish_reason: finish,
        message: { role: 'assistant', content, refusal, ...message },
      },
    ],
    ...(withoutUsage ? {} : { usage: USAGE }),
  };
}

export class TeacherServer {
  readonly calls: Call[] = [];
  /** Answers that were sent whole, by key; a repeated Idempotency-Key counts once. */
  readonly charged = new Map<string, number>();
  readonly files = new Map<string, string>();
  readonly batches: Batch[] = [];
  readonly authorizations = new Set<string>();
  /** Called with every completion request before it is answered. */
  onCall: (call: Call) => void = () => undefined;
  /** Looks that a batch takes to complete. */
  looksPerBatch = 2;
  readonly #server: Server;
  readonly #behave: (call: Call) => Behaviour;
  readonly #counts = new Map<string, number>();
  readonly #kept = new Map<string, string>();

  private constructor(behave: (call: Call) => Behaviour) {
    this.#behave = behave;
    this.#server = createServer((request, response) => {
      this.#route(request, response).catch(() => response.destroy());
    });
  }

  static async start(
    behave: (call: Call) => Behaviour = () => ({ kind: 'answer' }),
  ): Promise<TeacherServer> {
    const teacher = new TeacherServer(behave);
    await new Promise<void>((resolve) => teacher.#server.listen(0, '127.0.0.1', resolve));
    return teacher;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.authorizations.add(request.headers.authorization ?? '');
    const path = new URL(request.url ?? '', 'http://x').pathname;
    const body = await readBody(request);
    if (path === '/v1/chat/completions') {
      const key = String(request.headers['idempotency-key'] ?? '');
      await this.#complete(body.toString(), key, response);
    } else if (path === '/v1/files') {
      const id = `file-${this.files.size + 1}`;
      this.files.set(id, fileOf(body.toString()));
      sendJson(response, { id, object: 'file', purpose: 'batch' });
    } else if (path === '/v1/batches' && request.method === 'POST') {
      const { input_file_id: inputFile } = JSON.parse(body.toString()) as { input_file_id: string };
      const batch = { id: `batch-${this.batches.length + 1}`, inputFile, looks: 0 };
      this.batches.push(batch);
      sendJson(response, this.#batchObject(batch, 'validating'));
    } else if (path === '/v1/batches') {
      const data = this.batches.map((batch) => this.#batchObject(batch, 'in_progress'));
      sendJson(response, { object: 'list', data: data.reverse(), has_more: false });
    } else if (path.startsWith('/v1/batches/')) {
      const batch = this.batches.find(({ id }) => path.endsWith(`/${id}`));
      if (batch === undefined) {
        sendJson(response, { error: { message: 'none' } }, 404);
        return;
      }
      const isDone = ++batch.looks >= this.looksPerBatch;
      if (isDone) this.#runBatch(batch);
      sendJson(response, this.#batchObject(batch, isDone ? 'completed' : 'in_progress'));
    } else if (path.endsWith('/content')) {
      const text = this.files.get(path.split('/')[3] ?? '') ?? '';
      response.writeHead(200, { 'content-type': 'application/jsonl' });
      response.end(text);
    } else {
      sendJson(response, { error: { message: `no ${path}` } }, 404);
    }
  }

  #note(body: string, idempotencyKey: string): Call {
    const parsed = JSON.parse(body) as { messages: [unknown, { content: [{ text: string }] }] };
    const key = createHash('sha256').update(JSON.stringify(parsed.messages)).digest('hex');
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    const prompt = parsed.messages[1].content[0].text;
    const call: Call = { key, count, prompt, idempotencyKey, body: { ...parsed } };
    this.calls.push(call);
    this.onCall(call);
    return call;
  }

  async #complete(body: string, idempotencyKey: string, response: ServerResponse): Promise<void> {
    const call = this.#note(body, idempotencyKey);
    const kept = this.#kept.get(idempotencyKey);
    const behaviour = this.#behave(call);
    if (behaviour.kind === 'status') {
      const { status, headers = {}, body: error = { error: { message: 'no' } } } = behaviour;
      sendJson(response, error, status, headers);
      return;
    }
    if (behaviour.kind === 'hang') return;
    if (behaviour.kind === 'malformed') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"choices": [{"mess');
      return;
    }
    const answer = behaviour.kind === 'answer' ? behaviour : ({ kind: 'answer' } as const);
    const text = kept ?? JSON.stringify(completion(call.key, answer));
    if (behaviour.kind === 'cut' || behaviour.kind === 'hang-body') {
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': String(text.length),
      });
      response.write(text.slice(0, text.length / 2));
      if (behaviour.kind === 'cut') setTimeout(() => response.destroy(), 5);
      return;
    }
    if (answer.delayMs !== undefined) await new Promise((r) => setTimeout(r, answer.delayMs));
    if (kept === undefined) {
      this.#kept.set(idempotencyKey, text);
      this.charged.set(idempotencyKey, (this.charged.get(idempotencyKey) ?? 0) + 1);
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(text);
  }

  #batchObject(batch: Batch, status: string): unknown {
    const isDone = status === 'completed';
    return {
      ...{ id: batch.id, object: 'batch', endpoint: '/v1/chat/completions', status },
      input_file_id: batch.inputFile,
      ...(isDone ? { output_file_id: `${batch.id}-out`, error_file_id: `${batch.id}-err` } : {}),
    };
  }

  #runBatch(batch: Batch): void {
    if (this.files.has(`${batch.id}-out`)) return;
    const [out, err]: [string[], string[]] = [[], []];
    const lines = (this.files.get(batch.inputFile) ?? '').split('\n').filter((line) => line !== '');
    for (const line of lines) {
      const { custom_id, body } = JSON.parse(line) as { custom_id: string; body: unknown };
      const call = this.#note(JSON.stringify(body), custom_id);
      const behaviour = this.#behave(call);
      if (behaviour.kind === 'answer') {
        this.charged.set(custom_id, (this.charged.get(custom_id) ?? 0) + 1);
        const response = { status_code: 200, body: completion(call.key, behaviour) };
        out.push(JSON.stringify({ id: 'r', custom_id, response, error: null }));
      } else if (behaviour.kind === 'status') {
        const response = { status_code: behaviour.status, body: { error: { message: 'no' } } };
        err.push(JSON.stringify({ id: 'r', custom_id, response, error: null }));
      } else {
        const error = { code: 'batch_expired', message: 'not reached in time' };
        err.push(JSON.stringify({ id: 'r', custom_id, response: null, error }));
      }
    }
    // The provider promises no order.
    this.files.set(`${batch.id}-out`, `${out.reverse().join('\n')}\n`);
    this.files.set(`${batch.id}-err`, err.join('\n'));
  }
}
