/**
 * A folder that createModel made, opened by transformers. Optional: FACELLM_ORACLE_PYTHON names a Python with torch and
 * transformers.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';

import { createModel, nanoShape } from '../../lib/index.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { NEEDS_ORACLE, skip } from '../support/skip.js';

const PYTHON = process.env['FACELLM_ORACLE_PYTHON'];
const SCRIPTS = join(import.meta.dirname, '..', '..', 'scripts');

const TEXTS = [
  "user\nWhat is the person's age? They're smiling, aren't they?\n\n",
  'assistant\nThe person in the image is about 30-39 years old. The person smiles.',
  '一张笑脸 一张笑脸 naïve café \u1e9b\u0323',
];

/** Ids of texts, and what loading the weights leaves over. */
const SCRIPT = `
import json, sys
import known_torchvision
from transformers import AutoModelForImageTextToText, AutoTokenizer
folder, texts = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8"))
tokenizer = AutoTokenizer.from_pretrained(folder)
model, info = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
print(json.dumps({
    "ids": [tokenizer(text).input_ids for text in texts],
    "decoded": [tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) for text in texts],
    "missing": sorted(info["missing_keys"]), "unexpected": sorted(info["unexpected_keys"]),
    "mismatched": [str(key) for key in info["mismatched_keys"]],
    "parameters": sum(parameter.numel() for parameter in model.parameters()),
    "tied": model.get_input_embeddings().weight is model.get_output_embeddings().weight,
    "eos": tokenizer.eos_token_id, "image": model.config.image_token_id,
}))
`;

interface Report {
  readonly ids: readonly (readonly number[])[];
  readonly decoded: readonly string[];
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly mismatched: readonly string[];
  readonly parameters: number;
  readonly tied: boolean;
  readonly eos: number;
  readonly image: number;
}

describe(`models from nothing, live`, () => {
  for (const tiesEmbeddings of [true, false]) {
    it(`${tiesEmbeddings ? 'tied' : 'untied'}: transformers reads the same ids and every weight`, async function () {
      if (PYTHON === undefined) return skip(this, NEEDS_ORACLE);
      const folder = mkdtempSync(join(tmpdir(), 'facellm-create-live-'));
      try {
        const shape = { ...nanoShape(), tiesEmbeddings };
        const made = await createModel({
          ...{ output: join(folder, 'model'), texts: TEXTS, shape },
          vocabularySize: 400,
        });
        const tokenizer = await Tokenizer.load(made.directory);
        const control = [...tokenizer.controlTokens.keys()];
        const part = fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.constantFrom(...TEXTS, ...control, ' ', '\r\n', '\u0085', '\ufeff', "'ſ"),
        );
        const texts = fc.sample(
          fc.array(part, { maxLength: 6 }).map((parts) => parts.join('')),
          { numRuns: 500, seed: 5 },
        );
        writeFileSync(join(folder, 'texts.json'), JSON.stringify(texts));
        const run = spawnSync(
          PYTHON,
          ['-c', SCRIPT, made.directory, join(folder, 'texts.json')],
          { encoding: 'utf8', maxBuffer: 2 ** 26, env: { ...process.env, PYTHONPATH: SCRIPTS } },
        );
        assert.equal(run.status, 0, run.stderr);
        const report = JSON.parse(run.stdout) as Report;
        for (const [i, text] of texts.entries()) {
          const ids = tokenizer.encode(text);
          assert.deepEqual(ids, report.ids[i], JSON.stringify(text));
          assert.equal(tokenizer.decode(ids), report.decoded[i], JSON.stringify(text));
        }
        assert.deepEqual([report.missing, report.unexpected, report.mismatched], [[], [], []]);
        assert.equal(report.parameters, made.parameters);
        assert.equal(report.tied, tiesEmbeddings);
        assert.equal(report.eos, tokenizer.controlTokens.get('<|im_end|>'));
        assert.equal(report.image, tokenizer.controlTokens.get('<IMG_CONTEXT>'));
      } finally {
        rmSync(folder, { recursive: true });
      }
    }).timeout(300_000);
  }
});
