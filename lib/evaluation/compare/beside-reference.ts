/** A model that is asked with its reference in memory beside it: each answer comes with how far it is from the reference. */
import type { Contender, ModelUnderTest, ScoredModel } from '../model-under-test.js';
import { divergences, sharedTokens } from './divergence.js';

/**
 * Both are in memory at a time, so that the whole vocabulary's scores of an answer are held for that answer alone: on disk they
 * would be 0.6 MB a token.
 */
export function besideReference(
  contender: Contender<ScoredModel>,
  reference: Contender<ScoredModel>,
): Contender {
  return {
    ...contender,
    identity: { ...contender.identity, reference: reference.identity },
    open: async (signal) => {
      const model = await contender.open(signal);
      try {
        return beside(model, await reference.open(signal));
      } catch (error) {
        await model[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

function beside(model: ScoredModel, reference: ScoredModel): ModelUnderTest {
  return {
    device: model.device,
    dtype: model.dtype,
    isDeterministic: model.isDeterministic && reference.isDeterministic,
    choose: (question, signal) => model.choose(question, signal),
    answer: async (question, signal) => {
      const own = await model.answer(question, signal);
      const { tokenIds: ids } = await reference.answer(question, signal);
      const ofReference = await reference.answerLogits(question, ids, signal);
      const ofModel = await model.answerLogits(question, ids, signal);
      return {
        ...own,
        divergence: {
          ...divergences(ofReference, ofModel, ids),
          sharedTokens: sharedTokens(ids, own.tokenIds),
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([model[Symbol.asyncDispose](), reference[Symbol.asyncDispose]()]);
    },
  };
}
