/** What is known of a request as it goes: for its log line, the metrics and the answer's own account. */

export class RequestFacts {
  readonly startedAt: number = performance.now();
  readonly id: string;
  readonly route: string;
  caller = '';
  model = '';
  adapters: readonly string[] = [];
  images = 0;
  imageBytes = 0;
  tiles: readonly number[] = [];
  choices = 0;
  answers = 1;
  maxTokens = 0;
  promptTokens = 0;
  cachedTokens = 0;
  generatedTokens = 0;
  isStreamed = false;
  finishReason: string | undefined;
  /** Milliseconds. */
  queueMs = 0;
  preprocessMs = 0;
  encodeMs = 0;
  prefillMs = 0;
  decodeMs = 0;
  firstTokenMs = 0;
  totalMs = 0;
  retries = 0;

  constructor(id: string, route: string) {
    this.id = id;
    this.route = route;
  }

  get elapsedMs(): number {
    return performance.now() - this.startedAt;
  }

  /** As the answer tells them. */
  timings(): Readonly<Record<string, number>> {
    return {
      queue: this.queueMs,
      images: this.preprocessMs,
      encode: this.encodeMs,
      prefill: this.prefillMs,
      decode: this.decodeMs,
      ...(this.maxTokens > 0 && { first_token: this.firstTokenMs }),
      total: this.elapsedMs,
    };
  }

  /** Facts only: nothing that anybody said or showed. */
  line(status: number, code: string | undefined): object {
    return {
      request: this.id,
      ...(this.caller !== '' && { key: this.caller }),
      route: this.route,
      status,
      ...(code !== undefined && { code }),
      ...(this.model !== '' && { model: this.model }),
      ...(this.adapters.length > 0 && { adapters: this.adapters }),
      images: this.images,
      tiles: this.tiles.reduce((sum, tiles) => sum + tiles, 0),
      prompt_tokens: this.promptTokens,
      cached_tokens: this.cachedTokens,
      generated_tokens: this.generatedTokens,
      ...(this.finishReason !== undefined && { finish_reason: this.finishReason }),
      stream: this.isStreamed,
      queue_ms: Math.round(this.queueMs),
      encode_ms: Math.round(this.encodeMs),
      prefill_ms: Math.round(this.prefillMs),
      decode_ms: Math.round(this.decodeMs),
      total_ms: Math.round(this.totalMs),
      ...(this.retries > 0 && { retries: this.retries }),
    };
  }
}
