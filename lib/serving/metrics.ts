/** Counts and times in Prometheus' text form, under vLLM's names where they mean the same. No texts, keys or ids. */
import type { Registry } from 'prom-client';

import type { NativeStats } from '../binding/native.js';
import type { ServerPackages } from '../packages/server.js';
import type { Admission } from './admission.js';
import type { RequestFacts } from './request-facts.js';

const SECONDS = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640],
];
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000];

export interface MetricsSources {
  readonly admission: Admission;
  readonly stats: () => NativeStats | undefined;
  readonly progressAt: () => number;
  readonly model: { readonly id: string; readonly parameterBytes: number };
  readonly version: string;
}

export class Metrics {
  readonly #registry: Registry;
  readonly #add: (name: string, labels: Readonly<Record<string, string>>, amount: number) => void;
  readonly #observe: (name: string, model: string, value: number) => void;

  constructor({ prom }: ServerPackages, prefix: string, sources: MetricsSources) {
    const registry = new prom.Registry();
    this.#registry = registry;
    const registers = [registry];
    const counters = new Map<string, InstanceType<typeof prom.Counter>>();
    const histograms = new Map<string, InstanceType<typeof prom.Histogram>>();
    const counter = (name: string, help: string, labelNames: string[]): void => {
      counters.set(name, new prom.Counter({ name: prefix + name, help, labelNames, registers }));
    };
    const histogram = (name: string, help: string, buckets: number[]): void => {
      const labelNames = ['model_name'];
      const config = { name: prefix + name, help, buckets, labelNames, registers };
      histograms.set(name, new prom.Histogram(config));
    };
    const gauge = (
      name: string,
      help: string,
      read: () => number | readonly (readonly [Readonly<Record<string, string>>, number])[],
      labelNames: readonly string[] = [],
    ): void => {
      const one = new prom.Gauge({
        ...{ name: prefix + name, help, labelNames: [...labelNames], registers },
        collect() {
          const value = read();
          if (typeof value === 'number') one.set(value);
          else for (const [labels, each] of value) one.set(labels, each);
        },
      });
    };
    this.#add = (name, labels, amount) => counters.get(name)?.inc(labels, amount);
    this.#observe = (name, model, value) =>
      histograms.get(name)?.observe({ model_name: model }, value);

    counter('prompt_tokens_total', 'Tokens of prompts', ['model_name']);
    counter('prefix_cache_queries_total', 'Tokens of prompts that were looked up', []);
    counter('prefix_cache_hits_total', 'Those already computed', []);
    counter('generation_tokens_total', 'Tokens computed for answers', ['model_name']);
    counter('request_success_total', 'Requests by how they ended', [
      'model_name',
      'finished_reason',
    ]);
    counter('requests_rejected_total', 'Requests that were refused', ['code']);
    counter('image_rejected_total', 'Pictures that were refused', ['code']);
    counter('client_retries_total', 'Requests that clients say they repeat', []);
    counter('images_total', 'Pictures of requests', []);
    counter('tiles_total', 'Tiles of pictures', []);
    counter('image_bytes_total', 'Bytes of picture files', []);
    counter('choices_scored_total', 'Answers that probabilities were computed of', []);
    counter('adapter_rows_total', 'Answers by an adapter', ['model_name']);
    histogram('time_to_first_token_seconds', 'From arrival to the first token', SECONDS);
    histogram('inter_token_latency_seconds', 'Mean time between tokens of an answer', SECONDS);
    histogram('e2e_request_latency_seconds', 'From arrival to the end', SECONDS);
    histogram('request_queue_time_seconds', 'Waiting for the engine', SECONDS);
    histogram('request_prefill_time_seconds', 'Computing the prompt', SECONDS);
    histogram('request_decode_time_seconds', 'Computing the answer', SECONDS);
    histogram('image_decode_seconds', 'Reading pictures and writing the prompt', SECONDS);
    histogram('encode_seconds', 'Encoding pictures', SECONDS);
    histogram('request_prompt_tokens', 'Tokens of a prompt', TOKENS);
    histogram('request_generation_tokens', 'Tokens of a request computed for answers', TOKENS);
    histogram('request_params_max_tokens', 'max_tokens of requests', TOKENS);
    histogram('request_params_n', 'Answers asked for', [1, 2, 5, 10, 20]);

    const { admission, stats } = sources;
    const model = [{ model_name: sources.model.id }] as const;
    const read = (): number => Math.max(0, admission.inside - admission.queue.rows);
    gauge('num_requests_running', 'With the engine', () => [[model[0], admission.queue.rows]], [
      'model_name',
    ]);
    gauge(
      'num_requests_waiting',
      'Sent, read, decoded or queued, and not with the engine',
      () => [[model[0], admission.sending + read()]],
      ['model_name'],
    );
    gauge(
      'num_requests_waiting_by_reason',
      'What requests wait for',
      () => [
        [{ reason: 'queue' }, admission.queue.waiting],
        [{ reason: 'body' }, admission.sending],
        [{ reason: 'pictures' }, Math.max(0, read() - admission.queue.waiting)],
        [{ reason: 'capacity' }, stats()?.waitingRequests ?? 0],
      ],
      ['reason'],
    );
    const ofStats = (read: (now: NativeStats) => number) => (): number => {
      const now = stats();
      return now === undefined ? 0 : read(now);
    };
    gauge(
      'kv_cache_usage_perc',
      'Share of the pool that requests hold, 0..1',
      ofStats((now) => now.usedBlocks / Math.max(1, now.totalBlocks)),
    );
    const total = (name: string, help: string, read: (now: NativeStats) => number): void => {
      let seen = 0;
      const one = new prom.Counter({
        ...{ name: prefix + name, help, registers },
        collect() {
          const now = ofStats(read)();
          one.inc(Math.max(0, now - seen));
          seen = Math.max(seen, now);
        },
      });
    };
    total('num_preemptions_total', 'Answers that gave their blocks back', (s) => s.preemptions);
    total('engine_steps_total', 'Steps of the engine', (s) => s.steps);
    total('tiles_encoded_total', 'Tiles that went through the vision tower', (s) => s.tilesEncoded);
    gauge(
      'memory_bytes',
      'Memory by use',
      () => [
        [{ kind: 'weights' }, sources.model.parameterBytes],
        [{ kind: 'kv' }, ofStats((s) => s.totalBlocks * s.blockBytes)()],
        [{ kind: 'decode' }, admission.decoded.taken + admission.decodedBehind.taken],
      ],
      ['kind'],
    );
    gauge(
      'engine_last_progress_timestamp_seconds',
      'When the engine last got on',
      () => sources.progressAt() / 1000,
    );
    gauge('build_info', 'This build', () => [[{ version: sources.version }, 1]], ['version']);
    prom.collectDefaultMetrics({ register: registry, prefix });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  retried(): void {
    this.#add('client_retries_total', {}, 1);
  }

  /** @param isPicture the fault of a picture */
  refused(code: string, isPicture: boolean): void {
    this.#add('requests_rejected_total', { code }, 1);
    if (isPicture) this.#add('image_rejected_total', { code }, 1);
  }

  /** @param model a served id: bounded, whatever clients send */
  finished(facts: RequestFacts, model: string, reason: string): void {
    const name = { model_name: model };
    this.#add('request_success_total', { ...name, finished_reason: reason }, 1);
    this.#add('images_total', {}, facts.images);
    this.#add(
      'tiles_total',
      {},
      facts.tiles.reduce((sum, tiles) => sum + tiles, 0),
    );
    this.#add('image_bytes_total', {}, facts.imageBytes);
    this.#add('choices_scored_total', {}, facts.choices);
    this.#add('prompt_tokens_total', name, facts.promptTokens);
    this.#add('prefix_cache_queries_total', {}, facts.promptTokens);
    this.#add('prefix_cache_hits_total', {}, facts.cachedTokens);
    this.#add('generation_tokens_total', name, facts.generatedTokens);
    if (facts.adapters.length > 0) this.#add('adapter_rows_total', name, facts.answers);
    this.#observe('e2e_request_latency_seconds', model, facts.totalMs / 1000);
    this.#observe('request_queue_time_seconds', model, facts.queueMs / 1000);
    if (reason === 'abort' || reason === 'error') return;
    this.#observe('request_prompt_tokens', model, facts.promptTokens);
    this.#observe('image_decode_seconds', model, facts.preprocessMs / 1000);
    this.#observe('encode_seconds', model, facts.encodeMs / 1000);
    this.#observe('request_prefill_time_seconds', model, facts.prefillMs / 1000);
    if (facts.maxTokens === 0) return;
    this.#observe('request_generation_tokens', model, facts.generatedTokens);
    this.#observe('request_params_max_tokens', model, facts.maxTokens);
    this.#observe('request_params_n', model, facts.answers);
    this.#observe('request_decode_time_seconds', model, facts.decodeMs / 1000);
    if (facts.firstTokenMs > 0) {
      this.#observe('time_to_first_token_seconds', model, facts.firstTokenMs / 1000);
    }
    const gaps = facts.generatedTokens / facts.answers - 1;
    if (gaps > 0) {
      const each = (facts.totalMs - facts.firstTokenMs) / gaps;
      this.#observe('inter_token_latency_seconds', model, Math.max(0, each) / 1000);
    }
  }
}
