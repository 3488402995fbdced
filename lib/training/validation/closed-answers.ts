/** Which questions of the data are closed, told by the data alone: the same few answers again and again. */
import type { TrainingRecord } from '../../data/index.js';

/** The answers of a closed question are at most so many, */
const MOST_ANSWERS = 32;
/** and each is given so many times in the mean. Texts that happen to be equal twice make no closed question. */
const LEAST_REPETITION = 4;

/** The question of a record with one turn, with its system text. */
function questionOf({ system, turns }: TrainingRecord): string | undefined {
  const [only, ...others] = turns;
  return only === undefined || others.length > 0 ? undefined : JSON.stringify([system, only.user]);
}

/**
 * @param records all of a run, those that are learnt from and those that are not
 * @returns all answers to a record's question in the order of the alphabet; undefined where it is an open one
 */
export function closedAnswers(
  records: readonly TrainingRecord[],
): (record: TrainingRecord) => readonly string[] | undefined {
  const given = new Map<string, { count: number; answers: Set<string> }>();
  for (const record of records) {
    const question = questionOf(record);
    if (question === undefined) continue;
    const known = given.get(question) ?? { count: 0, answers: new Set<string>() };
    given.set(question, known);
    known.count++;
    if (known.answers.size <= MOST_ANSWERS) known.answers.add(record.turns[0]?.assistant ?? '');
  }
  const closed = new Map<string, readonly string[]>();
  for (const [question, { count, answers }] of given) {
    const isClosed =
      answers.size >= 2 && answers.size <= MOST_ANSWERS && count >= LEAST_REPETITION * answers.size;
    if (isClosed) closed.set(question, [...answers].sort());
  }
  return (record) => {
    const question = questionOf(record);
    return question === undefined ? undefined : closed.get(question);
  };
}
