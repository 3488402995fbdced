/** What each record weighs so that all answers to a question, or all groups of people, count the same in sum. */
import type { TrainingRecord } from '../data/index.js';

type Balanced = Pick<TrainingRecord, 'turns' | 'facts'>;

export interface Balance {
  readonly balancesAnswers: boolean;
  /** A group is what these keys say together; what a record does not say is a group, too. */
  readonly balancesGroups: readonly ('gender' | 'age' | 'race')[];
}

/**
 * N / (K n) for N records with the same question, K different cells (answers, groups, or both together) among them, n
 * records in this one's. Mean 1.
 */
export function balancedWeights(
  records: readonly Balanced[],
  { balancesAnswers, balancesGroups }: Balance,
): number[] {
  const questions = new Map<string, Map<string, number>>();
  const keys = records.map(({ turns, facts }) => ({
    question: JSON.stringify(turns.map(({ user }) => user)),
    answer: JSON.stringify([
      balancesAnswers ? turns.map(({ assistant }) => assistant) : [],
      balancesGroups.map((fact) => facts[fact]),
    ]),
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
