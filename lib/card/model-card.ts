/** README.md of trained weights: front matter that hub pages read, and what whoever takes them must know. */
import { stringify } from 'yaml';

import { isJsonObject, type JsonObject } from '../files/index.js';
import type {
  CardEstimate,
  CardFacts,
  CardQuantisation,
  CardScores,
  CardTraining,
} from './facts.js';
import { type Cell, frontMatter, markdownTable } from './markdown.js';

const NONE = '–';
const figure = (value: number | undefined): string => (value === undefined ? NONE : value.toFixed(3)); // prettier-ignore

function estimateText(estimate: CardEstimate | undefined): string {
  const { value, low, high } = estimate ?? {};
  if (low === undefined || high === undefined) return figure(value);
  return `${figure(value)} (${figure(low)}–${figure(high)})`;
}

/** Scores in the form of the hub's leaderboards. */
function modelIndex({ attributes, benchmark }: CardScores, name: string): JsonObject {
  return {
    'model-index': [
      {
        name,
        results: attributes.map(
          ({ name: attribute, reading, accuracy, balancedAccuracy, ece }) => ({
            task: { type: 'image-text-to-text', name: `${attribute}, read from ${reading}` },
            dataset: { type: benchmark, name: `facellm ${benchmark}` },
            metrics: [
              { type: 'accuracy', estimate: accuracy },
              { type: 'balanced_accuracy', estimate: balancedAccuracy },
              { type: 'expected_calibration_error', estimate: ece },
            ].flatMap(({ type, estimate }) =>
              estimate === undefined ? [] : [{ type, value: estimate.value }],
            ),
          }),
        ),
      },
    ],
  };
}

interface Objective {
  readonly tag: string;
  readonly text: string;
}

/** What a recipe learns by; of its fields those of `preference` and `expectedReward` decide. */
function objectivesOf(recipe: CardTraining['recipe']): readonly Objective[] {
  const given = (field: string): JsonObject | undefined => {
    const value = recipe[field];
    return isJsonObject(value) ? value : undefined;
  };
  const [preference, reward] = [given('preference'), given('expectedReward')];
  const supervised = (preference ?? reward)?.['supervised'];
  const weight = typeof supervised === 'number' ? `, counted ${supervised}` : '';
  return [
    ...(preference === undefined
      ? []
      : [
          {
            tag: 'dpo',
            text: `direct preference optimisation, beta ${String(preference['beta'])}`,
          },
        ]),
    ...(reward === undefined
      ? []
      : [{ tag: 'expected-reward', text: 'exact expectation of a reward, of closed questions' }]),
    ...(supervised === 0
      ? []
      : [{ tag: 'supervised-fine-tuning', text: `likelihood of the answers${weight}` }]),
  ];
}

/** In the hub's words. What was trained is no longer the base in fewer bits; undefined: the base in another file. */
function relationToBase({ kind, merged, trainings, quantisation }: CardFacts): string | undefined {
  if (kind === 'adapter') return 'adapter';
  if (merged.length > 0 || trainings.length > 0) return 'finetune';
  return quantisation === undefined ? undefined : 'quantized';
}

function header(facts: CardFacts, name: string): string {
  const { kind, base, license, trainings, scores } = facts;
  const relation = relationToBase(facts);
  return frontMatter({
    library_name: kind === 'adapter' ? 'peft' : 'transformers',
    pipeline_tag: 'image-text-to-text',
    ...(base.isHubId && relation !== undefined
      ? { base_model: base.name, base_model_relation: relation }
      : {}),
    ...(license === undefined ? {} : { license }),
    tags: [
      ...['facellm', 'internvl', 'face-analysis'],
      ...(kind === 'adapter' ? ['lora'] : []),
      ...new Set(trainings.flatMap(({ recipe }) => objectivesOf(recipe).map(({ tag }) => tag))),
    ],
    ...(scores === undefined ? {} : modelIndex(scores, name)),
  });
}

function bitsText({ format, bits, group }: CardQuantisation): string {
  return `${bits} bits (${format}, a scale a ${group === 0 ? 'row' : `group of ${group} columns`})`;
}

/** `in bf16`, and what else was done to the numbers. */
function numbersText({ dtype, quantisation, decodedFrom }: CardFacts): string {
  if (quantisation !== undefined) {
    return `the text layers' projections in ${bitsText(quantisation)}, everything else in ${dtype}`;
  }
  const decoded = decodedFrom && `, decoded from projections in ${bitsText(decodedFrom)}`;
  return `in ${dtype}${decoded ?? ''}`;
}

function whatItIs(facts: CardFacts): string {
  const { kind, base, merged, trainings } = facts;
  const of = `\`${base.name}\``;
  if (kind === 'adapter') {
    return `A LoRA adapter in PEFT's layout for ${of}. It works only on that model; its weights are named below.`;
  }
  const numbers = numbersText(facts);
  if (merged.length > 0) {
    const names = merged.map(({ name }) => `\`${name}\``).join(', ');
    return `${of} with ${merged.length === 1 ? 'an adapter' : `${merged.length} adapters`} folded in (${names}), ${numbers}.`;
  }
  if (trainings.length > 0) return `A model trained from ${of}, ${numbers}.`;
  return `${of}, written anew, ${numbers}.`;
}

function use({ kind, base }: CardFacts, name: string): string {
  const model = kind === 'adapter' ? `${base.name} --adapter ${name}` : name;
  return `\`\`\`\nnpx facellm ask photo.jpg "Describe this face." --model ${model}\n\`\`\``;
}

function trainingSection(training: CardTraining, place: string): string[] {
  const { recipe, data, steps, totalSteps, trainSamples, fingerprint, validation } = training;
  const { name, sha256, records, license } = data;
  const early = steps < totalSteps ? ', ended early: waiting for a better validation was over' : '';
  return [
    `## Training${place}`,
    markdownTable(
      ['', ''],
      [
        ['data', name],
        ['sha256 of the data file', sha256],
        ['records', `${records}, learnt from ${trainSamples}`],
        ['licence of the data', license ?? 'not stated beside them'],
        ['recipe', String(recipe['name'])],
        [
          'learnt by',
          objectivesOf(recipe)
            .map(({ text }) => text)
            .join('; '),
        ],
        ['updates', `${steps} of ${totalSteps}${early}`],
        ['fingerprint of all inputs', fingerprint],
      ],
    ),
    `<details><summary>The whole recipe</summary>\n\n\`\`\`yaml\n${stringify(recipe, { lineWidth: 0 })}\`\`\`\n\n</details>`,
    ...(validation === undefined
      ? ['No data were held out to validate with.']
      : validationSection(validation)),
  ];
}

function validationSection(validation: NonNullable<CardTraining['validation']>): string[] {
  const { samples, metric, step, loss, accuracy, balancedAccuracy, groups } = validation;
  const rows = groups.map(({ fact, value, ...own }): Cell[] => [
    ...[`${fact} ${value}`, own.samples, figure(own.accuracy), figure(own.loss)],
  ]);
  const [kept, chosen] =
    metric === 'last'
      ? ['the last', 'Nothing was chosen by them.']
      : [
          `the best by ${metric}`,
          'The weights were chosen by these figures, which are so a little too good.',
        ];
  return [
    `### Held out`,
    `Of ${samples} samples that were never learnt from, at the weights kept (update ${step}, ${kept}): loss ${figure(loss)} nats a token, accuracy of closed questions ${figure(accuracy)}, balanced ${figure(balancedAccuracy)}. ${chosen}`,
    ...(rows.length > 0 ? [markdownTable(['group', 'samples', 'accuracy', 'loss'], rows)] : []),
  ];
}

function scoresSection({
  benchmark,
  isPartial,
  notes,
  smallGroup,
  asked,
  attributes,
}: CardScores): string[] {
  return [
    '## Scores',
    `Benchmark ${benchmark} of facellm; in brackets 95 % intervals.${isPartial ? ' Only a part of the data was used.' : ''} Groups of fewer than ${smallGroup} pictures, marked *, are too few to say anything.`,
    ...notes.map((note) => `- ${note}`),
    markdownTable(
      ['question', 'read from', 'pictures', 'accuracy', 'balanced accuracy', 'calibration error'],
      attributes.map(({ name, reading, count, ...own }) => [
        ...[name, reading, count, estimateText(own.accuracy)],
        ...[estimateText(own.balancedAccuracy), estimateText(own.ece)],
      ]),
    ),
    ...(asked === undefined
      ? []
      : ['How it was asked:', markdownTable(['setting', 'value'], Object.entries(asked))]),
    '### By group',
    markdownTable(
      ['question', 'read from', 'group', 'pictures', 'accuracy'],
      attributes.flatMap(({ name, reading, groups }) =>
        groups.map(({ by, group, count, isSmall, accuracy }) => [
          ...[name, reading, `${by} ${group}${isSmall ? ' *' : ''}`, count, estimateText(accuracy)],
        ]),
      ),
    ),
  ];
}

function calibrationSection(calibration: CardFacts['calibration']): string[] {
  if (calibration === undefined) {
    return ['## Calibration', 'None was fitted: probabilities are the model’s own, and often too sure.'.replace('’', "'")]; // prettier-ignore
  }
  return [
    '## Calibration',
    'Temperatures fitted on labels; errors on pictures that had no part in the temperature they were scaled by.',
    markdownTable(
      ['question', 'pictures', 'temperature', 'calibration error', 'calibrated'],
      calibration.map(({ name, count, temperature, eceBefore, eceAfter }) => [
        ...[name, count, figure(temperature), figure(eceBefore), figure(eceAfter)],
      ]),
    ),
  ];
}

function hashes({ base, files, weights, merged }: CardFacts): string {
  return markdownTable(
    ['what', 'sha256'],
    [
      [`weights of ${base.name}, by samples of every tensor`, base.weights],
      ...merged.map(({ name, sha256 }) => [`adapter ${name}, folded in`, sha256]),
      ...files.map(({ name, sha256 }) => [name, sha256]),
      ...(weights === undefined ? [] : [['weights here, by samples of every tensor', weights]]),
    ],
  );
}

function licences({ license, base, trainings }: CardFacts): string {
  const data = [...new Set(trainings.map((one) => one.data.license ?? 'not stated beside them'))];
  return [
    `- These weights: ${license ?? 'not stated; whoever publishes them must'}.`,
    `- Base model \`${base.name}\`: ${base.license ?? 'as its own page says; not stated beside its weights'}.`,
    ...data.map((one) => `- Training data: ${one}.`),
  ].join('\n');
}

const LIMITS = [
  "- Answers are a model's guesses from one picture, no facts about people. They must not be used to identify or watch people, nor to decide anything about them.",
  '- Gender, age and race are what strangers or records have said, in few words; the model repeats their errors.',
  '- Errors differ between groups of people: see the tables, and measure on pictures like your own before use.',
];

/** Equal facts give equal bytes. @param name of the folder or the repository */
export function modelCard(facts: CardFacts, name: string): string {
  const { scores, trainings } = facts;
  const isMany = trainings.length > 1;
  return `${[
    header(facts, name),
    `# ${name}`,
    whatItIs(facts),
    use(facts, name),
    ...trainings.flatMap((one, i) => trainingSection(one, isMany ? ` ${i + 1}` : '')),
    ...(scores === undefined
      ? [
          '## Scores',
          'None were measured. `facellm evaluate`, then `facellm card --scores`, puts them here.',
        ]
      : scoresSection(scores)),
    ...calibrationSection(facts.calibration),
    '## Limits',
    LIMITS.join('\n'),
    '## Hashes',
    hashes(facts),
    '## Licences',
    licences(facts),
  ].join('\n\n')}\n`;
}
