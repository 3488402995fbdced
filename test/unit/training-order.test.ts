/** Which samples an update sees: every sample once an epoch, a function of the seed alone, equal for all ranks. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import {
  type OrderOptions,
  permutation,
  planUpdates,
  randomNumbers,
  type SampleFacts,
  shareOf,
} from '../../lib/training/order.js';

const OPTIONS: OrderOptions = {
  seed: 42,
  batchSize: 3,
  accumulation: 2,
  epochs: 1,
  maxSteps: 0,
  packing: false,
  groupsByLength: false,
  groupsByPicture: false,
  sharesPrefix: false,
  cutoffLength: 100,
};

const lengths = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 80 });
const options = fc.record({
  seed: fc.nat(),
  batchSize: fc.integer({ min: 1, max: 7 }),
  accumulation: fc.integer({ min: 1, max: 5 }),
  packing: fc.boolean(),
  groupsByLength: fc.boolean(),
});

/** Every sample with a picture of its own. */
function apart(own: ArrayLike<number>): SampleFacts {
  return { lengths: own, pictures: Array.from(own, (_, i) => i) };
}

describe('order of samples', () => {
  it('visits every sample once an epoch, whatever the settings', () => {
    fc.assert(
      fc.property(lengths, options, (own, changed) => {
        const plans = planUpdates(apart(own), 1, { ...OPTIONS, ...changed });
        const visited = plans.flatMap(({ microBatches }) => microBatches.flat());
        assert.deepEqual(
          visited.sort((a, b) => a - b),
          own.map((_, i) => i),
        );
        assert.deepEqual(
          plans.map(({ update }) => update),
          plans.map((_, i) => i),
        );
        for (const { microBatches } of plans) {
          assert.ok(microBatches.length <= changed.accumulation);
          assert.ok(microBatches.every((batch) => batch.length > 0));
        }
      }),
    );
  });

  it('is the same for the same seed, another for another', () => {
    const own = Array.from({ length: 50 }, () => 1);
    assert.deepEqual(planUpdates(apart(own), 1, OPTIONS), planUpdates(apart(own), 1, OPTIONS));
    assert.notDeepEqual(
      planUpdates(apart(own), 1, OPTIONS),
      planUpdates(apart(own), 1, { ...OPTIONS, seed: 43 }),
    );
    const [first, second] = [0, 1].map((epoch) => permutation(50, randomNumbers(42, epoch)));
    assert.notDeepEqual(first, second);
  });

  it('a micro-batch is one process after another, each share as large as the others but for one', () => {
    fc.assert(
      fc.property(lengths, options, fc.integer({ min: 1, max: 5 }), (own, changed, worldSize) => {
        for (const plan of planUpdates(apart(own), worldSize, { ...OPTIONS, ...changed })) {
          for (const [k, batch] of plan.microBatches.entries()) {
            const shares = Array.from({ length: worldSize }, (_, r) =>
              shareOf(plan, k, r, worldSize),
            );
            assert.deepEqual(shares.flat(), batch);
            const sizes = shares.map((share) => share.length);
            assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
          }
        }
      }),
    );
  });

  it('a packed micro-batch keeps its budget unless one sample alone is longer', () => {
    fc.assert(
      fc.property(lengths, options, (own, changed) => {
        const cutoffLength = 60;
        const settings = { ...OPTIONS, ...changed, packing: true, cutoffLength };
        for (const { microBatches } of planUpdates(apart(own), 1, settings)) {
          for (const batch of microBatches) {
            const tokens = batch.reduce((sum, i) => sum + (own[i] ?? 0), 0);
            assert.ok(tokens <= settings.batchSize * cutoffLength || batch.length === 1);
          }
        }
      }),
    );
  });

  it('grouping by length puts like with like', () => {
    const own = Array.from({ length: 300 }, (_, i) => (i * 7919) % 300);
    const spread = (groupsByLength: boolean): number =>
      planUpdates(apart(own), 1, { ...OPTIONS, batchSize: 10, groupsByLength })
        .flatMap(({ microBatches }) => microBatches)
        .map((batch) => batch.map((i) => own[i] ?? 0))
        .reduce((sum, batch) => sum + Math.max(...batch) - Math.min(...batch), 0);
    assert.ok(spread(true) < spread(false) / 4, `${spread(true)} of ${spread(false)}`);
  });

  it('grouping by picture puts its samples next to each other', () => {
    const picture = fc.integer({ min: 0, max: 20 });
    fc.assert(
      fc.property(
        fc.array(picture, { minLength: 1, maxLength: 80 }),
        fc.nat(),
        (pictures, seed) => {
          const facts = { lengths: pictures.map(() => 1), pictures };
          const settings = { ...OPTIONS, seed, batchSize: 7, groupsByPicture: true };
          const order = planUpdates(facts, 1, settings).flatMap(({ microBatches }) =>
            microBatches.flat(),
          );
          assert.deepEqual(
            order.toSorted((a, b) => a - b),
            pictures.map((_, i) => i),
          );
          const met = order.map((i) => pictures[i]);
          const changes = met.filter((own, i) => own !== met[i - 1]).length;
          assert.equal(changes, new Set(pictures).size);
        },
      ),
    );
  });

  it('shared prefixes: a picture is cut apart only where no micro-batch holds all of its samples', () => {
    const pictures = [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4];
    const facts = { lengths: pictures.map(() => 1), pictures };
    const settings = { ...OPTIONS, batchSize: 7, groupsByPicture: true, sharesPrefix: true };
    const batches = planUpdates(facts, 1, settings).flatMap(({ microBatches }) => microBatches);
    assert.deepEqual(
      batches.flat().toSorted((a, b) => a - b),
      pictures.map((_, i) => i),
    );
    assert.ok(batches.every((batch) => batch.length <= 7));
    for (const [picture, count] of [1, 1, 1, 1, 2].entries()) {
      const holding = batches.filter((batch) => batch.some((i) => pictures[i] === picture));
      assert.equal(holding.length, count, `picture ${picture}`);
    }
  });

  it('shared prefixes in a job: no process has a part of a picture whose samples one process could hold', () => {
    // 5 samples of each of 8 pictures: two processes of batchSize 8 would have three pictures, one of them cut apart.
    const pictures = Array.from({ length: 40 }, (_, i) => i % 8);
    const facts = { lengths: pictures.map(() => 1), pictures };
    const settings = { ...OPTIONS, batchSize: 8, groupsByPicture: true, sharesPrefix: true };
    for (const worldSize of [1, 2, 3]) {
      const plans = planUpdates(facts, worldSize, settings);
      const shares = plans.flatMap((plan) =>
        plan.microBatches.flatMap((batch, k) => {
          const own = Array.from({ length: worldSize }, (_, r) => shareOf(plan, k, r, worldSize));
          assert.deepEqual(own.flat(), batch);
          return own.filter((share) => share.length > 0);
        }),
      );
      assert.equal(shares.length, 8, `${worldSize} processes`);
      for (const share of shares) {
        assert.equal(share.length, 5);
        assert.equal(new Set(share.map((i) => pictures[i])).size, 1);
      }
    }
  });

  it('epochs may be a fraction, and maxSteps decides where it is given', () => {
    const own = Array.from({ length: 60 }, () => 1);
    const count = (changed: Partial<OrderOptions>): number =>
      planUpdates(apart(own), 1, { ...OPTIONS, ...changed }).length;
    assert.equal(count({}), 10);
    assert.equal(count({ epochs: 2.5 }), 25);
    assert.equal(count({ maxSteps: 3 }), 3);
    assert.equal(count({ maxSteps: 23 }), 23);
    assert.equal(planUpdates(apart(own), 1, { ...OPTIONS, epochs: 2 }).at(-1)?.epoch, 2);
  });

  it("FaceLLM's own counts: 1096 updates of 80, and 7303 of 12", () => {
    const own = new Int32Array(87_632).fill(300);
    const large = { ...OPTIONS, batchSize: 10, accumulation: 8 };
    assert.equal(planUpdates(apart(own), 1, large).length, 1096);
    assert.equal(
      planUpdates(apart(own), 1, { ...large, batchSize: 2, accumulation: 6 }).length,
      7303,
    );
  });
});
