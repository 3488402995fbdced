/** A Git LFS pointer or a web page in the place of a picture or an adapter's weights is named as what it is. */
import assert from 'node:assert/strict';

import { decodeImage, readImageSize } from '../../lib/image/index.js';
import { Pictures } from '../../lib/data/teachers/pictures.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { readAdapter } from '../../lib/lora/index.js';
import { copyGolden, errorOf, TestFolder } from './checkpoint-folder.js';

const FILES: readonly (readonly [string, RegExp])[] = [
  [
    'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n',
    /is a Git LFS pointer.*"git lfs pull"/,
  ],
  ['<!DOCTYPE html>\n<html><body>Sign in</body></html>', /is a web page \(HTML\)/],
  ['Entry not found', /holds a server's refusal \("Entry not found"\)/],
];

describe('files that are not there', () => {
  let folder: TestFolder;
  before(async () => {
    folder = await TestFolder.create();
    await copyGolden('ckpt-300m', folder);
  });
  after(() => folder.remove());

  it('pictures, on disk and in memory', async () => {
    for (const [content, text] of FILES) {
      await folder.write('face.jpg', content);
      const path = folder.at('face.jpg');
      for (const work of [
        () => decodeImage(path),
        () => decodeImage(Buffer.from(content)),
        () => readImageSize(path),
      ]) {
        const error = await errorOf(work());
        assert.equal(error.code, 'FACELLM_IMAGE_INVALID');
        assert.match(error.message, text);
      }
      await assert.rejects(new Pictures().get(path), text);
    }
  });

  it("an adapter's weights", async () => {
    const { model } = await readCheckpointConfig(folder.path);
    const config = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'] };
    await folder.write('adapter_config.json', config);
    for (const [content, text] of FILES) {
      await folder.write('adapter_model.safetensors', content);
      const error = await errorOf(readAdapter(folder.path, model));
      assert.equal(error.code, 'FACELLM_ADAPTER_INVALID');
      assert.match(error.message, text);
    }
  });
});
