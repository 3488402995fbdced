/** Stage 6: the trained model, loaded as any other, asked about five people it has never seen. */
import { join } from 'node:path';

import { FaceLlm } from 'facellm';

import { type ClosedAttribute, closedAttributes, truthOf } from '../closed-attributes.js';
import { ATTRIBUTES, type Demo, type DemoAttribute } from '../demo.js';
import { FACES, inHashOrder, type Portrait } from '../portraits.js';
import type { Stage } from '../stage-cache.js';
import { RUN_FOLDER } from './training.js';

export interface FaceAnswer {
  readonly attribute: DemoAttribute;
  readonly question: string;
  /** As generated. */
  readonly answer: string;
  readonly choices: readonly { readonly text: string; readonly probability: number }[];
  /** The label's answer; absent where the picture has no such label. */
  readonly truth?: string | undefined;
}

export interface Face {
  readonly file: string;
  readonly answers: readonly FaceAnswer[];
}

/** Fixed before anything is known of the answers. */
export const FACE_RULE =
  'from congress a woman without glasses and a man and a woman with eyeglasses, from london a smiling man and an unsmiling woman; of each kind the test picture whose file name has the lowest SHA-256 hash';
const KINDS: readonly Partial<Portrait>[] = [
  { source: 'congress', gender: 'Female', eyewear: 'none' },
  { source: 'congress', gender: 'Male', eyewear: 'eyeglasses' },
  { source: 'congress', gender: 'Female', eyewear: 'eyeglasses' },
  { source: 'london', gender: 'Male', expression: 'smiling' },
  { source: 'london', gender: 'Female', expression: 'neutral' },
];

/** A kind that the test pictures lack, as those of a smoke test may, is left out. */
export function chooseFaces(portraits: readonly Portrait[]): readonly Portrait[] {
  const tested = portraits.filter(({ split }) => split === 'test');
  const ranked = inHashOrder(tested, ({ file }) => file);
  return KINDS.flatMap((kind) => {
    const labels = Object.entries(kind) as [keyof Portrait, string][];
    const found = ranked.find((portrait) =>
      labels.every(([column, value]) => portrait[column] === value),
    );
    return found === undefined ? [] : [found];
  });
}

async function askAbout(
  model: FaceLlm,
  portrait: Portrait,
  { name, question, choices }: ClosedAttribute,
): Promise<FaceAnswer> {
  const asked = { image: join(FACES, portrait.file), question };
  const { text } = await model.ask({ ...asked, maxNewTokens: 12 }).result();
  const { choices: found } = await model.choose({ ...asked, choices });
  return {
    ...{ attribute: name, question, answer: text.trim(), truth: truthOf(portrait, name) },
    choices: found.map((choice) => ({ text: choice.text, probability: choice.probability })),
  };
}

async function askAll(demo: Demo): Promise<readonly Face[]> {
  const { screen, cache, interruption, options, portraits } = demo;
  await using model = await FaceLlm.load(cache.path(RUN_FOLDER), {
    device: 'cpu',
    threads: options.threads,
  });
  const chosen = chooseFaces(portraits);
  const faces: Face[] = [];
  for (const portrait of chosen) {
    const answers: FaceAnswer[] = [];
    for (const attribute of closedAttributes()) {
      interruption.check();
      answers.push(await askAbout(model, portrait, attribute));
    }
    faces.push({ file: portrait.file, answers });
    screen.progress(faces.length, chosen.length, 'faces');
  }
  return faces;
}

export function facesStage(demo: Demo): Stage<readonly Face[]> {
  return {
    name: 'faces',
    inputs: { rule: FACE_RULE, attributes: ATTRIBUTES },
    outputs: [],
    run: () => askAll(demo),
  };
}
