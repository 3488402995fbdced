/**
 * The table of commands: what each is called, takes and runs. Help, version and usage errors load nothing but this file, those of
 * flags and commander; each command imports its own module when it runs.
 */
import { Command } from 'commander';

import { packageVersion } from '../packages/version.js';
import type { AnnotateFlags } from './annotate.js';
import { addAnnotateOptions } from './annotate-options.js';
import { addAnswerOptions } from './answer-options.js';
import type { AskFlags } from './ask.js';
import type { BatchFlags } from './batch.js';
import type { CalibrateFlags } from './calibrate.js';
import type { CardFlags } from './card.js';
import { addInitOptions, addMergeOptions, addQuantizeOptions } from './checkpoint-options.js';
import type { ChooseFlags } from './choose.js';
import type { CompareFlags } from './compare.js';
import type { DoctorFlags } from './doctor-memory.js';
import type { DownloadFlags } from './download.js';
import type { EvaluateFlags } from './evaluate.js';
import { addCalibrateOptions, addCompareOptions, addEvaluateOptions } from './evaluate-options.js';
import { addFaceOptions, addPictureOptions } from './face-options.js';
import type { FacesFlags } from './faces.js';
import type { GenerateFlags } from './generate.js';
import { addGenerateOptions } from './generate-options.js';
import type { InitFlags } from './init.js';
import {
  addAdapterOption,
  addDeterministicOption,
  addDeviceOptions,
  addEngineOptions,
  addJsonOption,
  addModelOptions,
  CALIBRATION,
  DOWNLOAD,
  wholeNumber,
} from './options.js';
import type { MergeFlags } from './merge.js';
import type { PlanFlags } from './plan.js';
import type { QuantizeFlags } from './quantize.js';
import type { KeygenFlags } from './serve.js';
import { addServeOptions, type ServeFlags } from './serve-options.js';
import type { TrainFlags } from './train.js';

/** A command whose own module decides the exit code. */
type Finish = (code: number) => void;

/** Of commands that ask a model. */
function addAskingOptions(command: Command): Command {
  const model = addDeterministicOption(addEngineOptions(addModelOptions(command)));
  return addPictureOptions(addAdapterOption(model));
}

export function createProgram(finish: Finish): Command {
  const program = new Command('facellm')
    .description('FaceLLM for Node: ask a multimodal model about faces, on a CPU or a GPU')
    .version(packageVersion())
    .showHelpAfterError('(add --help for the options)')
    .exitOverride();

  addJsonOption(addAnswerOptions(addAskingOptions(program.command('ask'))))
    .description('ask a question about pictures; without one, a question in text alone')
    .argument('<words...>', 'pictures, then the question')
    .usage('[PHOTO...] "QUESTION" --model DIR [options]')
    .action(async (words: string[], flags: AskFlags) => {
      const { runAsk } = await import('./ask.js');
      await runAsk(words, flags, process);
    });

  addJsonOption(addAskingOptions(program.command('choose')))
    .description(
      'the probability of each given answer, to one question or to many about one picture',
    )
    .argument('<photo>', 'picture')
    .argument('[question]', 'question (without --items)')
    .usage('PHOTO ("QUESTION" --choices A B... | --items FILE) --model DIR [options]')
    .option('--choices <text...>', 'two or more answers')
    .option(
      '--items <file>',
      'JSON list of up to 64 questions about the picture: [{"id": ..., "question": ..., "choices": [...]}]',
    )
    .option(...CALIBRATION)
    .option('--seed <n>', 'accepted for symmetry; nothing is drawn', wholeNumber(0))
    .action(async (photo: string, question: string | undefined, flags: ChooseFlags) => {
      const { runChoose } = await import('./choose.js');
      await runChoose(photo, question, flags, process);
    });

  addJsonOption(addPictureOptions(addEngineOptions(addModelOptions(program.command('plan')))))
    .description(
      'tiles, tokens and memory of pictures, or of a training run, without loading weights',
    )
    .argument('[photo...]', 'pictures')
    .option('--recipe <name>', 'the memory of training with it instead')
    .option('--set <key=value...>', 'changes of the recipe, e.g. base=nf4')
    .option('--sample-tokens <n>', 'of one training sample (default: 448)', wholeNumber(8))
    .option('--answer-tokens <n>', 'of its answer (default: 128)', wholeNumber(1))
    .action(async (photos: string[], flags: PlanFlags) => {
      const { runPlan } = await import('./plan.js');
      await runPlan(photos, flags, process);
    });

  addFaceOptions(program.command('faces'), 'each')
    .description(
      'find faces in pictures: a row for each, and one for a picture without; needs no model',
    )
    .argument('<picture...>', 'pictures')
    .option('--json', 'print one JSON object a picture, on a line of its own')
    .option('--csv', 'print CSV')
    .option('--save-crops <dir>', 'write the faces taken as PNG files into this folder')
    .action(async (files: string[], flags: FacesFlags) => {
      const { runFaces } = await import('./faces.js');
      finish(await runFaces(files, flags, process));
    });

  addAnnotateOptions(program.command('annotate')).action(
    async (folder: string, flags: AnnotateFlags) => {
      const { runAnnotate } = await import('./annotate.js');
      finish(await runAnnotate(folder, flags, process));
    },
  );

  addJsonOption(program.command('download'))
    .description(
      'fetch a model of the hub into its cache, or a data set by name into a folder; the same command goes on ' +
        'with an interrupted one',
    )
    .argument('<name>', 'org/name, datasets/org/name, or fairfacegpt, facexbench, fairface')
    .option('--revision <name>', 'branch, tag or commit (default: main)')
    .option('--include <glob...>', "only files of the hub's repository that match, e.g. '*.json'")
    .option('--output <dir>', 'of a data set by name: its folder (default: ./NAME)')
    .option('--from <file...>', 'of a data set by name: files fetched by hand, archives unpacked')
    .option('--dry-run', 'tell files, sizes, licence and hashes; fetch nothing')
    .action(async (name: string, flags: DownloadFlags) => {
      const { runDownload } = await import('./download.js');
      await runDownload(name, flags, process);
    });

  addInitOptions(program.command('init')).action(async (flags: InitFlags) => {
    const { runInit } = await import('./init.js');
    await runInit(flags, process);
  });

  addJsonOption(program.command('train'))
    .description('train a model or an adapter; the same command resumes an interrupted run')
    .requiredOption('--recipe <name>', 'facellm1b, facellm8b, facellm38b or nano')
    .requiredOption('--model <dir>', 'base checkpoint: folder, or hub id in the local cache')
    .requiredOption('--data <file>', 'ShareGPT .json or .jsonl, or a dataset_info.json')
    .requiredOption('--output <dir>', 'folder of the run')
    .option('--dataset <name>', 'entry of the dataset_info.json')
    .option('--image-root <dir>', 'where relative picture paths start')
    .option('--adapter <dir>', 'PEFT adapter to start from')
    .option(...DOWNLOAD)
    .option('--set <key=value...>', 'changes of the recipe, e.g. learningRate=2e-5 lora.rank=8')
    .option('--skip-invalid', 'set bad records aside in skipped_records.jsonl')
    .option('--device <name>', 'cpu, cuda or cuda:N (default: a GPU if usable)')
    .option('--threads <n>', 'threads of the engine', wholeNumber(1))
    .option('--processes <n>', 'train in n processes of this machine, one a GPU', wholeNumber(1))
    .action(async (flags: TrainFlags) => {
      const { runTrain } = await import('./train.js');
      finish(await runTrain(flags, process));
    });

  addJsonOption(addGenerateOptions(program.command('generate')))
    .description('make a dataset from labelled faces; the same command resumes an interrupted run')
    .action(async (flags: GenerateFlags) => {
      const { runGenerate } = await import('./generate.js');
      finish(await runGenerate(flags, process));
    });

  addEvaluateOptions(program.command('evaluate')).action(async (flags: EvaluateFlags) => {
    const { runEvaluate } = await import('./evaluate.js');
    finish(await runEvaluate(flags, process));
  });

  addCompareOptions(program.command('compare')).action(async (flags: CompareFlags) => {
    const { runCompare } = await import('./compare.js');
    finish(await runCompare(flags, process));
  });

  addCalibrateOptions(program.command('calibrate')).action(async (flags: CalibrateFlags) => {
    const { runCalibrate } = await import('./calibrate.js');
    finish(await runCalibrate(flags, process));
  });

  addMergeOptions(program.command('merge')).action(async (flags: MergeFlags) => {
    const { runMerge } = await import('./merge.js');
    await runMerge(flags, process);
  });

  addJsonOption(program.command('card'))
    .description(
      'put scores, a calibration and the licence onto the card (README.md) of trained or merged weights',
    )
    .argument('<dir>', 'result of train or merge')
    .option('--scores <dir>', 'output of evaluate --benchmark attributes on these weights')
    .option('--calibration <file>', 'of calibrate on these weights')
    .option('--model <dir>', 'base of an adapter, with --scores and --calibration')
    .option('--license <name>', "of the weights: the hub's word, such as apache-2.0")
    .action(async (directory: string, flags: CardFlags) => {
      const { runCard } = await import('./card.js');
      await runCard(directory, flags, process);
    });

  addQuantizeOptions(program.command('quantize')).action(async (flags: QuantizeFlags) => {
    const { runQuantize } = await import('./quantize.js');
    await runQuantize(flags, process);
  });

  const serving = addServeOptions(program.command('serve'));
  serving.action(async (flags: ServeFlags) => {
    const { runServe } = await import('./serve.js');
    finish(await runServe(flags, serving, process));
  });

  const batching = addDeterministicOption(
    addEngineOptions(addModelOptions(program.command('batch'))),
  );
  addJsonOption(addAdapterOption(batching))
    .description(
      "answer a file of requests, JSON lines in the form of OpenAI's batches, without a server; the same command goes on " +
        'with an interrupted one',
    )
    .argument('<file.jsonl>', '{"custom_id", "method": "POST", "url", "body"} on each line')
    .requiredOption('--output <file.jsonl>', 'answers, in the order of the lines')
    .option('--served-name <id>', 'of the base model (default: the last part of its name)')
    .option('--calibration <file...>', 'of `facellm calibrate`: calibrated probabilities, too')
    .option('--ahead <n>', 'requests under way at a time (default: 16)', wholeNumber(1))
    .option('--retry-failed', 'ask lines again that failed; what is answered stays')
    .action(async (file: string, flags: BatchFlags) => {
      const { runBatchFile } = await import('./batch.js');
      finish(await runBatchFile(file, flags, process));
    });

  addJsonOption(program.command('keygen'))
    .description("a new API key: the client's key, then the line for the server's --api-keys")
    .argument('<name>', 'who it is for; stands in logs')
    .option('--rights <right...>', 'infer, metrics, admin, priority (default: infer)')
    .action(async (name: string, flags: KeygenFlags) => {
      const { runKeygen } = await import('./serve.js');
      runKeygen(name, flags, process);
    });

  program
    .command('build')
    .description('find or fetch libtorch and compile the native addon')
    .option('--force', 'build even if nothing has changed')
    .action(async (flags: { readonly force?: boolean }) => {
      const { runBuild } = await import('./build.js');
      finish(await runBuild(flags));
    });

  addJsonOption(addEngineOptions(addDeviceOptions(program.command('doctor'))))
    .description('what this machine has, what is missing and how to get it, and a parity self-test')
    .option('--model <dir>', 'tell too what this checkpoint would take; nothing of it is loaded')
    .option('--subfolder <name>', 'folder inside the checkpoint')
    .action(async (flags: DoctorFlags) => {
      const { runDoctor } = await import('./doctor.js');
      finish(await runDoctor(flags));
    });

  return program;
}
