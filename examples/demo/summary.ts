/** The tables that the screen shows at the end, and the commands that go on from there. */
import { relative } from 'node:path';

import { ATTRIBUTES, CHIPS, type Demo, GROUPS, PROMPT } from './demo.js';
import type { AttributeFigures, Estimate, GroupFigures } from './figures.js';
import { FACES } from './portraits.js';
import { MODEL_FOLDER } from './stages/model.js';
import { ASKING } from './stages/scores.js';
import { recipeChanges, RUN_FOLDER } from './stages/training.js';

/** "0.952 (0.91–0.99)". */
export function estimateText({ value, low, high }: Estimate): string {
  if (low === undefined || high === undefined) return value.toFixed(3);
  return `${value.toFixed(3)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

export function scoreRows(figures: readonly AttributeFigures[]): string[][] {
  return [
    ['balanced accuracy', 'people', 'pictures', 'guessing', 'before', 'after (95 %)', 'as text'],
    ...figures.map(({ attribute, people, pictures, chance, before, after }) => [
      attribute,
      `${people}`,
      `${pictures}`,
      chance.toFixed(3),
      before.probability.balancedAccuracy.value.toFixed(3),
      estimateText(after.probability.balancedAccuracy),
      after.text.balancedAccuracy.value.toFixed(3),
    ]),
  ];
}

/** Highest and lowest share right among the groups of one kind. */
export function gapOf(
  groups: readonly GroupFigures[],
): { readonly best: GroupFigures; readonly worst: GroupFigures } | undefined {
  const ranked = [...groups].sort((a, b) => b.accuracy.value - a.accuracy.value);
  const [best, worst] = [ranked[0], ranked.at(-1)];
  return best === undefined || worst === undefined || ranked.length < 2
    ? undefined
    : { best, worst };
}

export function gapRows(figures: readonly AttributeFigures[]): string[][] {
  const cell = ({ group, accuracy, pictures }: GroupFigures): string =>
    `${group} ${accuracy.value.toFixed(2)} (${pictures})`;
  return [
    ['share right', 'by', 'gap', 'best (pictures)', 'worst (pictures)'],
    ...figures.flatMap(({ attribute, groups }) =>
      [...new Set(groups.map(({ by }) => by))].flatMap((by) => {
        const gap = gapOf(groups.filter((group) => group.by === by));
        if (gap === undefined) return [];
        const { best, worst } = gap;
        const size = (best.accuracy.value - worst.accuracy.value).toFixed(2);
        return [[attribute, by, size, cell(best), cell(worst)]];
      }),
    ),
  ];
}

/** A path as one would type it here. */
export function shownPath(path: string): string {
  const name = relative(process.cwd(), path);
  return name === '' || name.startsWith('..') ? path : name;
}

function quoted(text: string): string {
  return /^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function command(...words: readonly string[]): string {
  return ['npx facellm', ...words.map(quoted)].join(' ');
}

/** To ask the model that was just trained. */
export function askCommand({ cache }: Demo, file: string, question: string): string {
  return command(
    'ask',
    `${shownPath(FACES)}/${file}`,
    question,
    '--model',
    shownPath(cache.path(RUN_FOLDER)),
  );
}

/** To let programs and browsers ask it. */
export function serveCommand({ cache }: Demo): string {
  return command('serve', '--model', shownPath(cache.path(RUN_FOLDER)));
}

/** The stages as one would type them. */
export function stageCommands(demo: Demo): readonly string[] {
  const { cache, labels, options } = demo;
  const at = (name: string): string => shownPath(cache.path(name));
  const faces = shownPath(FACES);
  const { seed } = options;
  const model = at(MODEL_FOLDER);
  const run = at(RUN_FOLDER);
  return [
    command(
      ...['generate', '--labels', shownPath(labels), '--images', faces, '--teacher', 'labels'],
      ...['--prompts', 'attributes', '--questions', ...ATTRIBUTES, '--where', 'split=train'],
      ...['--column', 'age=age_bracket', '--column', 'race=', '--column', 'person=identity'],
      ...['--seed', `${seed}`],
      ...['--output', at('data')],
    ),
    command('init', '--data', at('data'), '--seed', `${seed}`, '--output', model),
    command(
      ...['train', '--recipe', 'nano', '--model', model, '--data', at('data'), '--output', run],
      '--set',
      ...Object.entries(recipeChanges(demo)).map(
        ([key, value]) => `${key}=${JSON.stringify(value)}`,
      ),
    ),
    command(
      ...['evaluate', '--benchmark', 'attributes', '--data', faces, '--labels', shownPath(labels)],
      ...[
        '--split',
        'test',
        '--attributes',
        ...ATTRIBUTES,
        '--groups',
        ...GROUPS,
        '--model',
        model,
        '--tuned',
        run,
      ],
      ...['--template', PROMPT.template, '--system', PROMPT.system, '--no-exif'],
      ...['--faces', CHIPS.which, '--margin', `${CHIPS.margin}`, '--face-size', `${CHIPS.size}`],
      ...['--max-new-tokens', `${ASKING.maxNewTokens}`, '--batch-size', `${ASKING.batchSize}`],
      ...['--output', at('scores')],
    ),
  ];
}

/** The real thing: FaceLLM's recipe, published weights, one's own pictures. */
export const REAL_COMMANDS: readonly string[] = [
  'npx facellm download OpenGVLab/InternVL3-1B-hf',
  'npx facellm generate --labels my/labels.csv --images my/pictures --teacher openai --output my/data --dry-run',
  'npx facellm generate --labels my/labels.csv --images my/pictures --teacher openai --output my/data --spending-limit 20',
  'npx facellm train --recipe facellm1b --model OpenGVLab/InternVL3-1B-hf --data my/data --output my/run',
  'npx facellm evaluate --benchmark attributes --data my/test --model OpenGVLab/InternVL3-1B-hf --adapter my/run --output my/scores',
  'npx facellm ask my/face.jpg "Describe this face." --model OpenGVLab/InternVL3-1B-hf --adapter my/run',
  'npx facellm serve --model OpenGVLab/InternVL3-1B-hf --adapter my/run',
];
