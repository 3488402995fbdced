/** The demo from beginning to end, with what each step means in a sentence or two. */
import type { Demo } from './demo.js';
import { type AttributeFigures, readFigures } from './figures.js';
import { writeReport } from './report/write-report.js';
import { table } from './screen.js';
import type { Stage, StageOutcome } from './stage-cache.js';
import { dataStage } from './stages/data.js';
import { type Face, FACE_RULE, facesStage } from './stages/faces.js';
import { type FolderResult, folderStage, SHEET_FILE, TABLE_FILE } from './stages/folder.js';
import { modelStage } from './stages/model.js';
import { afterStage, beforeStage } from './stages/scores.js';
import { trainingStage } from './stages/training.js';
import {
  askCommand,
  gapRows,
  REAL_COMMANDS,
  scoreRows,
  serveCommand,
  shownPath,
} from './summary.js';

const STAGES = 8;

const WARNING =
  'A smoke test: a few pictures and updates, to see that everything runs. Its scores mean nothing; leave out --quick for the real run.';

/** As InternVL3-1B has. */
const FACELLM_1B_PARAMETERS = 938e6;

/** Runs a stage under its heading; what an earlier run did is only said. */
async function step<Result>(
  { cache, screen, interruption }: Demo,
  number: number,
  title: string,
  meaning: string,
  stage: Stage<Result>,
): Promise<StageOutcome<Result>> {
  interruption.check();
  screen.heading(`[${number}/${STAGES}] ${title}`);
  screen.say(meaning);
  const outcome = await cache.run(stage);
  const { isCached, seconds } = outcome;
  screen.say(`${isCached ? 'Taken from an earlier run' : 'Done'} (${seconds.toFixed(1)} s).`);
  return outcome;
}

function showFaces({ screen }: Demo, faces: readonly Face[]): void {
  const rows = faces.flatMap(({ file, answers }) =>
    answers.map(({ attribute, answer, choices, truth }) => {
      const verdict =
        truth === undefined ? 'not labelled' : answer === truth ? 'right' : `wrong, is ${truth}`;
      const told = choices.map(({ text, probability }) => `${text} ${probability.toFixed(2)}`);
      return [file, attribute, answer, verdict, told.join(', ')];
    }),
  );
  screen.show(table([['face', 'question', 'answer', '', 'probabilities'], ...rows]));
}

function showFolder({ screen, cache }: Demo, { pictures, seconds, head }: FolderResult): void {
  screen.say(
    `${pictures} pictures in ${seconds.toFixed(1)} s: ${shownPath(cache.path(TABLE_FILE))}, which begins so:`,
  );
  screen.show(table(head));
  screen.line();
  screen.say(
    `The least sure answers, with their pictures: ${shownPath(cache.path(SHEET_FILE))}. By group, held against the labels: ${shownPath(cache.path(TABLE_FILE))}.groups/groups.html.`,
  );
}

function showEnd(demo: Demo, report: string, faces: readonly Face[]): void {
  const { screen, options } = demo;
  screen.heading(`Report: ${shownPath(report)}`);
  if (options.isQuick) screen.say(WARNING);
  const [face] = faces;
  const [first] = face?.answers ?? [];
  if (face !== undefined && first !== undefined) {
    screen.heading('Ask your model:');
    screen.line(`  ${askCommand(demo, face.file, first.question)}`);
  }
  screen.heading(
    "Serve it: OpenAI's protocol, and a page to try it at http://127.0.0.1:8000 (docs/serving.md):",
  );
  screen.line(`  ${serveCommand(demo)}`);
  screen.heading(
    'The same with published weights and your own pictures (docs/data.md, docs/training.md):',
  );
  for (const command of REAL_COMMANDS) screen.line(`  ${command}`);
}

function showScores({ screen }: Demo, figures: readonly AttributeFigures[]): void {
  screen.show(table(scoreRows(figures)));
  screen.line();
  screen.say(
    'Who is served worse? Groups of a few pictures differ by chance; the report has their intervals.',
  );
  screen.show(table(gapRows(figures)));
}

export async function runStages(demo: Demo): Promise<void> {
  const { screen, options } = demo;
  screen.line('FaceLLM from nothing: a small vision-language model learns from real portraits.');
  if (options.isQuick) screen.line(WARNING);
  screen.line(`Everything is kept in ${shownPath(options.folder)}.`);

  const { result: data } = await step(
    demo,
    1,
    'Data',
    'Labelled portraits become questions with answers. A teacher that sees would describe the pictures; here the labels alone answer.',
    await dataStage(demo),
  );
  screen.say(
    `${data.pairs} pairs about ${data.pictures} pictures of ${data.people} people, such as: ${data.question} ${data.answer}`,
  );

  const { result: model } = await step(
    demo,
    2,
    'Model',
    "InternVL3's own architecture and files, only small, with random weights and a vocabulary learnt from these texts.",
    modelStage(demo),
  );
  screen.say(
    `${(model.parameters / 1e6).toFixed(2)} million parameters, ${model.vocabularySize} tokens. FaceLLM-1B has ${Math.round(FACELLM_1B_PARAMETERS / model.parameters)} times as many.`,
  );

  await step(
    demo,
    3,
    'Score before training',
    'Questions about people that training never shows. A model that knows nothing is as good as guessing.',
    beforeStage(demo),
  );

  const { result: trained, seconds } = await step(
    demo,
    4,
    'Training',
    'The model reads picture and question and is corrected on every token of its answer. The loss tells how surprised it is by the right one.',
    trainingStage(demo),
  );

  await step(
    demo,
    5,
    'Score after training',
    'The same questions about the same unseen people.',
    afterStage(demo),
  );
  const figures = await readFigures(demo);
  showScores(demo, figures);

  const { result: faces } = await step(
    demo,
    6,
    'Five faces',
    `Answers as generated, and how probable the model finds each. Chosen by a fixed rule: ${FACE_RULE}.`,
    facesStage(demo),
  );
  showFaces(demo, faces);

  const { result: folder } = await step(
    demo,
    7,
    'A folder to a table',
    'What people do with such a model: a folder of pictures becomes a table with the probability of every answer, and a page of those that a person should look at.',
    folderStage(demo),
  );
  showFolder(demo, folder);

  screen.heading(`[8/${STAGES}] Report`);
  const report = await writeReport(demo, {
    ...{ data, model, figures, faces },
    training: { steps: trained.steps, seconds },
  });
  showEnd(demo, report, faces);
}
