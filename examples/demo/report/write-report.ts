/** Gathers what the report shows and writes report.json and report.html. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { extname, join } from 'node:path';

import type { Demo } from '../demo.js';
import { type AttributeFigures, readAnswers, readLosses } from '../figures.js';
import { FACES, ROOT } from '../portraits.js';
import type { DataResult } from '../stages/data.js';
import { type Face, FACE_RULE } from '../stages/faces.js';
import type { ModelResult } from '../stages/model.js';
import { askCommand, REAL_COMMANDS, stageCommands } from '../summary.js';
import { pageOf } from './page.js';
import type { Machine, Pictures, ReportData } from './report-data.js';

export interface StoryResults {
  readonly data: DataResult;
  readonly model: ModelResult;
  readonly training: { readonly steps: number; readonly seconds: number };
  readonly figures: readonly AttributeFigures[];
  readonly faces: readonly Face[];
}

async function machine(): Promise<Machine> {
  const text = await readFile(join(ROOT, 'package.json'), 'utf8');
  return {
    processor: cpus()[0]?.model.trim() ?? 'an unknown processor',
    cores: availableParallelism(),
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()}`,
    node: process.version,
    facellm: (JSON.parse(text) as { readonly version: string }).version,
  };
}

async function readPictures(files: Iterable<string>): Promise<Pictures> {
  const pictures = new Map<string, string>();
  for (const file of files) {
    const type = extname(file) === '.png' ? 'png' : 'jpeg';
    const bytes = await readFile(join(FACES, file));
    pictures.set(file, `data:image/${type};base64,${bytes.toString('base64')}`);
  }
  return pictures;
}

async function gather(demo: Demo, results: StoryResults): Promise<ReportData> {
  const { portraits, options } = demo;
  const { faces, training } = results;
  const answers = await readAnswers(demo);
  const tested = portraits.filter(({ split }) => split === 'test');
  const [face] = faces;
  const [first] = face?.answers ?? [];
  const asking =
    face === undefined || first === undefined ? [] : [askCommand(demo, face.file, first.question)];
  return {
    format: 'facellm-demo-1',
    isQuick: options.isQuick,
    seed: options.seed,
    madeAt: new Date().toISOString().slice(0, 10),
    machine: await machine(),
    ...results,
    training: { ...training, losses: await readLosses(demo) },
    faceRule: FACE_RULE,
    test: {
      people: new Set(tested.map(({ identity }) => identity)).size,
      pictures: tested.map(({ file }) => ({ file, answers: answers.get(file) ?? [] })),
    },
    commands: [...stageCommands(demo), ...asking],
    realCommands: REAL_COMMANDS,
  };
}

async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

/** @returns the path of report.html */
export async function writeReport(demo: Demo, results: StoryResults): Promise<string> {
  const data = await gather(demo, results);
  const pictures = await readPictures(data.test.pictures.map(({ file }) => file));
  const path = demo.cache.path('report.html');
  await writeWhole(demo.cache.path('report.json'), `${JSON.stringify(data, null, 2)}\n`);
  await writeWhole(path, pageOf(data, pictures));
  return path;
}
