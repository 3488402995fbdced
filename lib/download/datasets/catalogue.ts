/** The data sets that have a name here: where they come from, and what to do with them then. */
import { createError } from '../../errors.js';
import type { HttpClient } from '../http.js';
import type { RetryOptions } from '../retry.js';
import { type DataSource, githubFolder, zenodoRecord } from './sources.js';

export interface NamedDataset {
  readonly name: string;
  /** What it is, in a few words. */
  readonly about: string;
  /** Undefined: no plain address has it, and `byHand` says how it is come by. */
  readonly find?: (
    client: HttpClient,
    env: NodeJS.ProcessEnv,
    retry: RetryOptions,
    revision: string | undefined,
  ) => Promise<DataSource>;
  readonly byHand?: string;
  readonly license?: string;
  /** The next command, for a folder of it. @param found path of its main file, if it has one */
  readonly next: (directory: string, found: string | undefined) => string;
  /** Name of its main file, wherever in the folder it lies. */
  readonly mainFile?: RegExp;
}

export const DATASETS: readonly NamedDataset[] = [
  {
    name: 'fairfacegpt',
    about: "FaceLLM's training data: questions and answers about FairFace's validation pictures",
    find: (client, env, retry, revision) => {
      if (revision === undefined) return zenodoRecord('16323621', client, env, retry);
      if (/^\d{1,12}$/.test(revision)) return zenodoRecord(revision, client, env, retry);
      throw createError(
        'FACELLM_INVALID_ARGUMENT',
        `a revision of fairfacegpt is the number of a Zenodo record, such as 16323621, received ${JSON.stringify(revision)}`,
      );
    },
    mainFile: /(^|\/)dataset\.jsonl?$/,
    next: (directory, found) =>
      `facellm train --recipe facellm1b --model OpenGVLab/InternVL3-1B-hf --download --data ${found ?? directory} ` +
      '--image-root FAIRFACE --output RUN    # FAIRFACE: its pictures, facellm download fairface',
  },
  {
    name: 'facexbench',
    about: 'FaceXBench: 5,000 questions about faces, with their pictures',
    find: (client, env, retry, revision) =>
      githubFolder(
        'Kartik-3004/facexbench',
        'benchmark',
        revision ?? 'main',
        undefined,
        ...([client, env, retry] as const),
      ),
    next: (directory) =>
      `facellm evaluate --benchmark facexbench --data ${directory} --model DIR --output SCORES`,
  },
  {
    name: 'fairface',
    about: "FairFace: labelled faces of seven groups, the pictures behind FaceLLM's training data",
    license: 'cc-by-4.0',
    byHand:
      'its authors publish it at https://github.com/joojs/fairface through Google Drive, which gives no plain ' +
      'address: fetch fairface-img-margin025-trainval.zip and fairface_label_val.csv with a browser, then run ' +
      '"facellm download fairface --from fairface-img-margin025-trainval.zip fairface_label_val.csv"',
    next: (directory) =>
      `facellm evaluate --benchmark attributes --data ${directory} --model DIR --output SCORES`,
  },
];
