/** Rates, money and waits, on a clock of our own. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { type Clock, RateLimiter } from '../../lib/data/synthesis/limiter.js';
import { Account, costOf } from '../../lib/data/synthesis/spending.js';
import { failureKind, redact, retryAfterMs } from '../../lib/data/teachers/openai-failure.js';
import { knownPrices, pictureTokens } from '../../lib/data/teachers/prices.js';

const NEVER = new AbortController().signal;

/** Time passes when somebody sleeps. */
class FakeClock implements Clock {
  #now = 0;
  now(): number {
    return this.#now;
  }
  sleep(ms: number): Promise<void> {
    this.#now += ms;
    return Promise.resolve();
  }
}

async function starts(
  limiter: RateLimiter,
  clock: Clock,
  tokens: readonly number[],
): Promise<number[]> {
  const times: number[] = [];
  for (const count of tokens) {
    await limiter.acquire(count, NEVER);
    times.push(clock.now());
  }
  return times;
}

describe('unit: rate limits', () => {
  it('no minute sees more requests or tokens than allowed, and no time is wasted', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1000, max: 50_000 }),
        fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 300 }),
        async (requestsPerMinute, tokensPerMinute, tokens) => {
          const clock = new FakeClock();
          const limiter = new RateLimiter({ requestsPerMinute, tokensPerMinute }, clock);
          const times = await starts(limiter, clock, tokens);
          for (const [i, start] of times.entries()) {
            const minute = times.flatMap((time, j) =>
              j >= i && time < start + 60_000 ? [tokens[j] ?? 0] : [],
            );
            assert.ok(minute.length <= requestsPerMinute);
            // A request starts when those before it are paid for; its own tokens come on top.
            const before = minute.slice(0, -1).reduce((sum, count) => sum + count, 0);
            assert.ok(before <= tokensPerMinute);
          }
          // Each waits for the slower of the two limits, rounded up to a millisecond.
          const most = tokens.slice(0, -1).reduce((sum, count) => {
            const perMinute = Math.max(1 / requestsPerMinute, count / tokensPerMinute);
            return sum + 60_000 * perMinute + 1;
          }, 0);
          assert.ok((times.at(-1) ?? 0) <= most);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('spaces requests evenly', async () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({ requestsPerMinute: 60 }, clock);
    assert.deepEqual(await starts(limiter, clock, [1, 1, 1, 1]), [0, 1000, 2000, 3000]);
  });

  it('learns what a request took', async () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({ tokensPerMinute: 60_000 }, clock);
    await limiter.acquire(1000, NEVER);
    limiter.settle(1000, 3000);
    await limiter.acquire(1000, NEVER);
    assert.equal(clock.now(), 3000);
  });

  it('a pause holds everybody', async () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({}, clock);
    limiter.pause(5000);
    assert.deepEqual(await starts(limiter, clock, [1, 1]), [5000, 5000]);
  });

  it('waiting ends with the signal', async () => {
    const limiter = new RateLimiter({ requestsPerMinute: 1 });
    await limiter.acquire(1, NEVER);
    const abort = new AbortController();
    const waiting = limiter.acquire(1, abort.signal);
    abort.abort(new Error('over'));
    await assert.rejects(waiting, /over/);
  });
});

describe('unit: the account', () => {
  it('never lets cost, possible cost and reservations pass the limit', async () => {
    const account = new Account(1);
    assert.equal(await account.reserve(0.6, NEVER), true);
    const second = account.reserve(0.6, NEVER);
    account.charge({ promptTokens: 1, completionTokens: 1 }, 0.1);
    account.release(0.6);
    assert.equal(await second, true);
    account.chargePossible(0.6);
    account.release(0.6);
    assert.equal(await account.reserve(0.4, NEVER), false, 'nothing under way can give money back');
    assert.equal(await account.reserve(0.3, NEVER), true);
    assert.deepEqual(account.spending, {
      ...{ promptTokens: 1, completionTokens: 1, cost: 0.1, possiblyLost: 0.6 },
    });
  });

  it('a signal ends the waiting', async () => {
    const account = new Account(1);
    await account.reserve(1, NEVER);
    const abort = new AbortController();
    const waiting = account.reserve(1, abort.signal);
    abort.abort();
    assert.equal(await waiting, false);
  });

  it('prices are for a million tokens', () => {
    const usage = { promptTokens: 2_000_000, completionTokens: 500_000 };
    assert.equal(costOf(usage, { input: 2.5, output: 10 }), 10);
    assert.deepEqual(knownPrices('gpt-4o-2024-11-20'), { input: 2.5, output: 10 });
    assert.deepEqual(knownPrices('gpt-4o-mini'), { input: 0.15, output: 0.6 });
    assert.equal(knownPrices('llava'), undefined);
  });

  it('pictures count as the provider documents', () => {
    // 1024 x 1024 scales to 768 x 768: four squares; 2048 x 4096 to 1024 x 2048, then 768 x 1536: six.
    assert.equal(pictureTokens('gpt-4o', 1024, 1024), 85 + 4 * 170);
    assert.equal(pictureTokens('gpt-4o', 2048, 4096), 85 + 6 * 170);
    assert.equal(pictureTokens('gpt-4o', 224, 224), 255);
    assert.equal(pictureTokens('gpt-4o-mini', 224, 224), 2833 + 5667);
    assert.equal(pictureTokens('gpt-4.1-mini', 224, 224), Math.ceil(49 * 1.62));
    assert.equal(pictureTokens('gpt-4.1-mini', 9000, 9000), Math.ceil(1536 * 1.62));
  });
});

describe('unit: failed requests', () => {
  const headers = (record: Record<string, string>): { get(name: string): string | null } => ({
    get: (name) => record[name] ?? null,
  });

  it('Retry-After is seconds or a date; retry-after-ms counts first', () => {
    const now = Date.parse('Wed, 21 Oct 2015 07:28:00 GMT');
    const cases: [Record<string, string>, number | undefined][] = [
      [{}, undefined],
      [{ 'retry-after': '2' }, 2000],
      [{ 'retry-after': '0.5' }, 500],
      [{ 'retry-after': 'Wed, 21 Oct 2015 07:28:30 GMT' }, 30_000],
      [{ 'retry-after': 'Wed, 21 Oct 2015 07:27:00 GMT' }, 0],
      [{ 'retry-after': 'soon' }, undefined],
      [{ 'retry-after': '999999' }, 3_600_000],
      [{ 'retry-after': '2', 'retry-after-ms': '70' }, 70],
    ];
    for (const [record, expected] of cases)
      assert.equal(retryAfterMs(headers(record), now), expected);
    assert.equal(retryAfterMs(undefined), undefined);
  });

  it('statuses fall into kinds', () => {
    const kinds = [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503].map((status) =>
      failureKind(status, null),
    );
    assert.deepEqual(kinds, [
      ...['request', 'fatal', 'fatal', 'fatal', 'passing', 'passing'],
      ...['request', 'request', 'busy', 'passing', 'passing', 'busy'],
    ]);
    assert.equal(failureKind(429, 'insufficient_quota'), 'fatal');
  });

  it('a key does not get into messages', () => {
    assert.equal(redact('bad key sk-1234, sk-1234', 'sk-1234'), 'bad key ***, ***');
    assert.equal(redact('a b', ''), 'a b');
  });
});
