/** A small labelled folder and two models' answers on it, for the fairness report's tests. */
import { attributesBenchmark } from '../../lib/evaluation/attributes/benchmark.js';
import type { Benchmark, ItemOutcome, ModelRun } from '../../lib/evaluation/types.js';
import type { TestFolder } from '../unit/checkpoint-folder.js';

/** A model's name is the user's: it must not become markup. */
export const BASE_NAME = 'base <i>|"1"&';

/** Gender, race and age of twelve pictures; the last one's race is not known. */
const FACES: readonly (readonly [string, string, string])[] = [
  ['Male', 'White', '20-29'],
  ['Male', 'White', '20-29'],
  ['Male', 'White', '30-39'],
  ['Male', 'Black', '40-49'],
  ['Male', 'Black', '20-29'],
  ['Male', 'Latino_Hispanic', '60-69'],
  ['Female', 'White', '20-29'],
  ['Female', 'White', '50-59'],
  ['Female', 'White', '3-9'],
  ['Female', 'Black', '30-39'],
  ['Female', 'Black', '30-39'],
  ['Female', '', 'more than 70'],
];

export async function fairnessExample(
  folder: TestFolder,
  groups: readonly string[] = ['race', 'gender'],
): Promise<Benchmark> {
  const rows = FACES.map(([gender, race, age], i) => `p${i}.jpg,${gender},${race},${age}`);
  await folder.write('labels.csv', `file,gender,race,age\n${rows.join('\n')}\n`);
  for (const i of FACES.keys()) await folder.write(`p${i}.jpg`, `picture ${i}`);
  const attributes = ['gender', 'age'] as const;
  return attributesBenchmark({ data: folder.path, attributes, groups, smallGroup: 3 });
}

/** Answers that the example's models give: for each picture, gender and bracket of age by index. */
const BASE_ANSWERS: readonly (readonly [number, number])[] = [
  ...([[0, 3], [0, 4], [0, 4], [1, 5], [1, 3], [0, 5]] as const),
  ...([[1, 3], [1, 3], [0, 1], [0, 4], [0, 2], [1, 8]] as const),
]; // prettier-ignore
const TUNED_ANSWERS: readonly (readonly [number, number])[] = [
  ...([[0, 3], [0, 3], [0, 4], [0, 5], [1, 3], [0, 7]] as const),
  ...([[1, 3], [1, 6], [1, 1], [1, 4], [0, 4], [1, 7]] as const),
]; // prettier-ignore

function runOf(
  { items }: Benchmark,
  name: string,
  answers: readonly (readonly [number, number])[],
  confidence: number,
  unread: ReadonlySet<string>,
): ModelRun {
  const outcomes = items.map(({ id, choices }, i): ItemOutcome => {
    const answer = answers[Math.floor(i / 2)]?.[i % 2 === 0 ? 0 : 1] ?? 0;
    const rest = (1 - confidence) / (choices.length - 1);
    return {
      id,
      promptHash: '',
      text: unread.has(id)
        ? '<script>alert("no")</script> | it is *hard*\nto say'
        : `It is ${choices[answer]}.`,
      probabilities: choices.map((_, k) => (k === answer ? confidence : rest)),
      ...{ promptTokens: 1, imageTokens: 1, generatedTokens: 1, milliseconds: 1 },
    };
  });
  return { name, outcomes };
}

export function exampleRuns(benchmark: Benchmark): readonly [ModelRun, ModelRun] {
  const unread = new Set(['p0.jpg#gender', 'p8.jpg#age']);
  return [
    runOf(benchmark, BASE_NAME, BASE_ANSWERS, 0.65, unread),
    runOf(benchmark, 'tuned', TUNED_ANSWERS, 0.95, new Set()),
  ];
}
