/** What each record weighs so that all answers to a question count the same in sum. */
import type { TrainingRecord } from '../data/index.js';

type Turns = Pick<TrainingRecord, 'turns'>;

/** N / (K n) for N records with the same question, K different answers to it, n records with this one. Mean 1. */
export function balancedWeights(records: readonly Turns[]): number[] {
  const questions = new Map<string, Map<string, number>>();
  const keys = records.map(({ turns }) => ({
    question: JSON.stringify(turns.map(({ user }) => user)),
    answer: JSON.stringify(turns.map(({ assistant }) => assistant)),
  }));
  for (const { question, answer } of keys) {
    const answers = questions.get(question) ?? new Map<string, number>();
    questions.set(question, answers.set(answer, (answers.get(answer) ?? 0) + 1));
  }
  return keys.map(({ question, answer }) => {
    const answers = questions.get(question) ?? new Map<string, number>();
    const all = [...answers.values()].reduce((sum, count) => sum + count, 0);
    return all / (answers.size * (answers.get(answer) ?? 1));
  });
}
