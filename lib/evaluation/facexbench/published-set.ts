/**
 * What FaceXBench is (arXiv 2501.10360; github Kartik-3004/facexbench, folder benchmark/): 48 files of
 * 5,000 questions. Names are those of the repository; the numbers of questions follow from the published
 * fractions (published-scores.ts). The full text of two files was at hand, so these two are known
 * by their content; of the others only the names and the sums are held here.
 */

import type { FolderFile } from './question-folder.js';

export const CATEGORIES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  bias_fairness: { age: 500, gender: 500, race: 500 },
  face_recognition: { hr_fr: 400, lr_fr: 100, celebrity_identification: 300 },
  fas_deepfakes: { fas: 400, deepfakes: 300 },
  attributes_expression: { attributes: 400, expression: 400 },
  face_localization: { headpose: 400, segmentation: 400, crowd_counting: 300 },
  tools_use: { tools_retrieval: 100 },
};

const STEMS = `
  affectnet_multiple_mcq affectnet_single_mcq aflw2000_multiple_mcq_test aflw2000_single_mcq_test
  agedb30_multiple_mcq biwi_multiple_mcq biwi_single_mcq calfw_multiple_mcq
  casia_mfsd_multiple_mcq celeba_multiple_mcq celeba_single_mcq celebamaskhq_single_mcq_test
  celebamaskhq_single_mcq_val celebdf_multiple_mcq cfpff_multiple_mcq cfpfp_multiple_mcq
  cplfw_multiple_mcq fairface_multiple_mcq_age_test fairface_multiple_mcq_gender_test
  fairface_multiple_mcq_race_test fairface_single_mcq_age_test fairface_single_mcq_gender_test
  fairface_single_mcq_race_test ff++_multiple_mcq imdb_multiple_mcq imdb_single_mcq
  jhucrowd_single_mcq_range_test jhucrowd_single_mcq_range_val jhucrowd_single_mcq_test
  jhucrowd_single_mcq_val lapa_single_mcq lfw_multiple_mcq msu_mfsd_multiple_mcq
  rafdb_multiple_mcq_train rafdb_single_mcq_train replay_attack_multiple_mcq
  shanghaitech_single_mcq shanghaitech_single_mcq_range tinyface_multiple_mcq tools_retrieval
  utkface_multiple_mcq_age_test utkface_multiple_mcq_gender_test utkface_multiple_mcq_race_test
  utkface_single_mcq_age_test utkface_single_mcq_gender_test utkface_single_mcq_race_test
  wmca_multiple_mcq wmca_single_mcq`;
export const FILE_NAMES: readonly string[] = STEMS.trim()
  .split(/\s+/)
  .map((stem) => `${stem}.json`);

/** sha256 of a file's content whatever its layout: of `JSON.stringify` of what it parses to. */
export const KNOWN_CONTENT: Readonly<
  Record<string, { readonly commit: string; readonly sha256: string }>
> = {
  'fairface_single_mcq_gender_test.json': {
    commit: '4ebf14508c6afe147120a6a109d03c202eaf3770',
    sha256: 'faa5390b1d475ad63695981af4b1bdd2bb4964cc878400fa63f32a2cb02bcc9d',
  },
  'jhucrowd_single_mcq_range_val.json': {
    commit: 'b949c91f0dc1ce07fa33fd734a9b2e864e2309cf',
    sha256: '8dbddf243caac22295bc0e6ca3f6a62e750932c9581ceb8bd2f08771c4cebd1a',
  },
};

/** A question file, as far as the set's completeness goes. */
export type SetMember = Pick<FolderFile, 'name' | 'contentHash' | 'task' | 'questionCount'>;

/**
 * What separates a set of files from the published one, a sentence each; nothing if it is complete.
 * A set that differs in any way gives no FaceXBench score.
 */
export function differencesFromPublished(files: readonly SetMember[]): string[] {
  const have = new Set(files.map(({ name }) => name));
  const absent = FILE_NAMES.filter((name) => !have.has(name));
  const foreign = files.filter(({ name }) => !FILE_NAMES.includes(name));
  const problems: string[] = [];
  if (absent.length > 0) {
    problems.push(`${absent.length} of 48 files are absent: ${absent.join(', ')}`);
  }
  if (foreign.length > 0) {
    problems.push(`not of the published set: ${foreign.map(({ name }) => name).join(', ')}`);
  }
  for (const { name, contentHash } of files) {
    const known = KNOWN_CONTENT[name];
    if (known === undefined || known.sha256 === contentHash) continue;
    problems.push(`${name} is not the file of commit ${known.commit.slice(0, 8)}`);
  }
  const expected = Object.values(CATEGORIES).flatMap((tasks) => Object.entries(tasks));
  for (const [task, count] of expected) {
    const found = files
      .filter((file) => file.task === task)
      .reduce((sum, { questionCount }) => sum + questionCount, 0);
    if (found !== count) problems.push(`task ${task}: ${found} of ${count} questions`);
  }
  return problems;
}
