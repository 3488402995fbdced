/** README.md of a dataset, in the form that the hub and people read. */
import { type Cell, frontMatter as hubFrontMatter, markdownTable } from '../../card/index.js';
import { ATTRIBUTES, VOCABULARY } from '../labels/vocabulary.js';
import type { JudgedCounts, JudgementSummary } from '../judging/tally.js';
import type { PromptSet } from '../prompts/prompt-set.js';
import type { GenerationResult } from './events.js';
import type { DatasetStatistics } from './statistics.js';

export interface CardFacts {
  readonly result: Omit<GenerationResult, 'files'>;
  readonly prompts: PromptSet;
  readonly labelsSha256: string;
  /** Of the texts, as the user states it. */
  readonly license: string | undefined;
  /** The CSV has FairFace's columns as published. */
  readonly isFairFace: boolean;
  /** US dollars for a million tokens; undefined if answers cost nothing. */
  readonly prices: { readonly input: number; readonly output: number } | undefined;
}

const table = markdownTable;

function countRows(counts: Readonly<Record<string, number>>): string {
  const rows = Object.entries(counts).filter(([, count]) => count > 0);
  return rows.length === 0 ? 'None.' : table(['reason', 'count'], rows);
}

function attributes(statistics: DatasetStatistics): string {
  return ATTRIBUTES.flatMap((attribute) => {
    const counts = statistics.byAttribute[attribute];
    if (counts === undefined) return [];
    const share = (count: number): string => `${((100 * count) / statistics.images).toFixed(1)} %`;
    const rows = Object.entries(counts).map(([value, count]) => [value, count, share(count)]);
    return [`### ${attribute}`, table([attribute, 'pictures', 'share'], rows)];
  }).join('\n\n');
}

/** Race and gender down, age across. */
function groups({ byGroup }: DatasetStatistics): string {
  const ages = [...VOCABULARY.age, 'unknown'].filter((age) => byGroup.some((g) => g.age === age));
  const names = [...new Set(byGroup.map(({ race, gender }) => JSON.stringify([race, gender])))];
  const rows = names.map((name) => {
    const [race = '', gender = ''] = JSON.parse(name) as string[];
    const own = byGroup.filter((group) => group.race === race && group.gender === gender);
    const cells = ages.map((age) => own.find((group) => group.age === age)?.images ?? 0);
    return [race, gender, ...cells];
  });
  return table(['race', 'gender', ...ages], rows);
}

function money(amount: number): string {
  return `$${amount.toFixed(4)}`;
}

function cost({ result, prices }: CardFacts): string {
  const { promptTokens, completionTokens, cost: spent, possiblyLost } = result.spending;
  const tokens =
    promptTokens + completionTokens === 0
      ? 'The teacher counts no tokens.'
      : `${promptTokens} prompt and ${completionTokens} completion tokens.`;
  if (prices === undefined) return `${tokens} No price is known for them.`;
  const lost =
    possiblyLost > 0
      ? ` At most ${money(possiblyLost)} more may have been charged for requests whose answers never came.`
      : '';
  return `${tokens} ${money(spent)} at $${prices.input} and $${prices.output} a million.${lost}`;
}

/** What a judge doubts, and of whom: a group whose answers are dropped more often is there less. */
function judgeSection(judgement: JudgementSummary): string[] {
  const { judge, threshold, action, judged, doubtful, noClaim, unjudged, open } = judgement;
  const share = (part: number, all: number): string =>
    all === 0 ? '–' : `${((100 * part) / all).toFixed(1)} %`;
  const word = action === 'drop' ? 'dropped' : 'marked';
  const row = (name: string, counts: JudgedCounts): Cell[] => [
    ...[name, counts.judged, counts.doubtful, share(counts.doubtful, counts.judged)],
  ];
  const waiting = open === 0 ? '' : ` Not judged yet, and left out until they are: ${open}.`;
  return [
    '## Judge',
    `A model (${judge}) was asked the closed questions that ${judged} answers claim; ${doubtful} (${share(doubtful, judged)}) have a probability below ${threshold} and are ${word}. Answers that claim nothing that can be asked for: ${noClaim}. Answers about pictures that could not be shown to it: ${unjudged}. Both are kept.${waiting}`,
    table(
      ['answers about', 'judged', word, 'share'],
      [
        ...Object.entries(judgement.byQuestion).map(([id, counts]) => row(id, counts)),
        ...judgement.groups.map(({ by, group, ...counts }) => row(`${by} ${group}`, counts)),
      ],
    ),
  ];
}

function license({ license: stated, isFairFace }: CardFacts): string {
  const text =
    stated === undefined
      ? 'The licence of the texts was not stated when they were made.'
      : `Texts: ${stated}.`;
  return isFairFace
    ? `${text} Labels and pictures: FairFace, CC BY 4.0 (Kärkkäinen and Joo, "FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age", WACV 2021).`
    : `${text} Labels and pictures keep the licences of their sources.`;
}

function frontMatter({ license: stated }: CardFacts): string {
  return hubFrontMatter({
    ...(stated === undefined ? {} : { license: stated }),
    language: 'en',
    task_categories: ['image-text-to-text'],
    configs: [{ config_name: 'default', data_files: 'dataset.parquet' }],
  });
}

export function dataCard(facts: CardFacts): string {
  const { result, prompts, labelsSha256 } = facts;
  const { statistics, teacher, promptSet, total, end } = result;
  const { words } = statistics;
  const state =
    end === 'complete'
      ? ''
      : `\n\n**Not complete** (${end}): ${result.open} of ${total} pairs have no answer yet.`;
  const lengths =
    words === undefined
      ? 'No answers.'
      : table(
          ['mean', 'least', 'median', '95 %', 'most'],
          [[words.mean, words.least, words.median, words.p95, words.most]],
        );
  return `${[
    frontMatter(facts),
    `# Face questions and answers (${prompts.name})`,
    `${statistics.pairs} question-answer pairs about ${statistics.images} face pictures, made by facellm.${state}`,
    '## Files',
    '- `dataset.json`: ShareGPT records, picture paths relative to this folder; `dataset_info.json` describes it to LLaMA-Factory and facellm.\n' +
      '- `dataset.parquet`: the same with the labels of each picture.\n' +
      '- `set_aside.jsonl`: everything that was left out, with the reason.\n' +
      '- `journal.jsonl`: every answer as it came, also those not used; the same command resumes from it.',
    '## How it was made',
    table(
      ['', ''],
      [
        ['teacher', JSON.stringify(teacher)],
        ['prompt set', `${promptSet.name}, version ${promptSet.version}`],
        ['prompt set sha256', promptSet.sha256],
        ['labels sha256', labelsSha256],
      ],
    ),
    'Labels were given to the teacher only; the questions in the records name none. The records hold them under keys of their own, for reports by group.',
    '## Questions',
    table(
      ['question', 'asked as', 'pairs'],
      prompts.questions.map(({ id, student }) => [id, student, statistics.byQuestion[id] ?? 0]),
    ),
    '## Answers, in words',
    lengths,
    '## Pictures by attribute',
    attributes(statistics),
    '## Pictures by race, gender and age',
    groups(statistics),
    ...(result.judgement === undefined ? [] : judgeSection(result.judgement)),
    '## Left out',
    `Pairs set aside:\n\n${countRows(result.setAside)}`,
    `Pairs not asked because a label is not known: ${result.unasked}. Rows of the label file left out: ${result.skippedRows}.`,
    `Answers that came with a model's thinking in front, which was cut off: ${result.thinkingCut}.`,
    `Answers rejected and asked for again:\n\n${countRows(result.rejected)}`,
    '## Cost',
    cost(facts),
    '## Licence',
    license(facts),
    '## Bias',
    'Race, gender and age are labels that strangers or records gave; gender is binary in FairFace. Descriptions by a teacher that was told them repeat their errors.',
  ].join('\n\n')}\n`;
}
