/** The one rule for text files, and that every text file of the program is read by it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import fc from 'fast-check';

import {
  decodeText,
  findImpostor,
  impostorOf,
  jsonFault,
  parseJson,
  readOptionalText,
  universalNewlines,
} from '../../lib/files/index.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const read = (bytes: Uint8Array): string => decodeText(bytes, 'f.csv', 'FACELLM_DATA_INVALID');
const refusal = async (bytes: Uint8Array): Promise<string> => {
  const error = await errorOf(Promise.resolve().then(() => read(bytes)));
  assert.equal(error.code, 'FACELLM_DATA_INVALID');
  return error.message;
};

describe('text files', () => {
  it('a byte order mark is no part of the text, line ends are', () => {
    assert.equal(read(Buffer.from('\uFEFFa,é\r\n😀')), 'a,é\r\n😀');
    assert.equal(universalNewlines('a\r\nb\rc\n\r\nd\r\r'), 'a\nb\nc\n\nd\n\n');
    assert.equal(read(Buffer.alloc(0)), '');
  });

  it('what is not UTF-8 is refused with line, column and a remedy', async () => {
    const message = await refusal(Buffer.from('studio\r\nköln,Caf\xe9,x', 'latin1'));
    assert.match(
      message,
      /^f\.csv is not UTF-8 at line 2, column 2 \(byte 0xF6\); save it as UTF-8/,
    );
    assert.match(message, /iconv/);
    const lines = Buffer.from('a\r\nCaf\xe9\nb\rna\xefve', 'latin1');
    const error = await errorOf(Promise.resolve().then(() => read(lines)));
    assert.deepEqual(error.details, ['line 2: "Caf\uFFFD"', 'line 4: "na\uFFFDve"']);
    const late = Buffer.concat([Buffer.from('a\rb\n😀é'), Buffer.from([0xff])]);
    assert.match(await refusal(late), /line 3, column 3 \(byte 0xFF\)/);
    // Overlong, surrogate, beyond U+10FFFF, cut short at the end.
    for (const bytes of [
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xe2, 0x82],
    ]) {
      assert.match(await refusal(Buffer.from([0x61, ...bytes])), /line 1, column 2/);
    }
  });

  it('the place of a fault is where the standard decoder finds it', () => {
    const byte = fc.oneof(fc.constantFrom(0xc3, 0xe2, 0xed, 0xf0, 0xf4, 0xa9, 0x80), fc.nat(255));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), fc.array(byte, { maxLength: 12 }), (a, b) => {
        const bytes = Uint8Array.from([0x61, 0x62, ...a, ...b]);
        let refused: string | undefined;
        try {
          read(bytes);
        } catch (error) {
          refused = (error as Error).message;
        }
        const replaced = new TextDecoder().decode(bytes);
        const strict = (): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes);
        if (refused === undefined) assert.equal(strict(), replaced);
        else if (/line \d+/.test(refused)) {
          assert.throws(strict);
          const lines = universalNewlines(replaced).split('\n');
          const [, line = 0, column = 0] = /line (\d+), column (\d+)/.exec(refused) ?? [];
          assert.equal(Array.from(lines[Number(line) - 1] ?? '')[Number(column) - 1], '\uFFFD');
        }
      }),
    );
  });

  it('UTF-16 and UTF-32 are named, with a mark and without', async () => {
    const little = Buffer.from('file,age\n', 'utf16le');
    const big = Buffer.from(little).swap16();
    for (const mark of [[], [0xff, 0xfe]]) {
      assert.match(await refusal(Buffer.from([...mark, ...little])), /is UTF-16 \(little-endian\)/);
    }
    for (const mark of [[], [0xfe, 0xff]]) {
      assert.match(await refusal(Buffer.from([...mark, ...big])), /is UTF-16 \(big-endian\)/);
    }
    assert.match(await refusal(Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0])), /is UTF-32/);
  });

  it('what a download left there instead is named, with what fetches the file', async () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n';
    assert.match(await refusal(Buffer.from(pointer)), /is a Git LFS pointer.*git lfs pull/);
    assert.match(await refusal(Buffer.from('Entry not found')), /refusal \("Entry not found"\)/);
    const page = '\n<!DOCTYPE html>\n<html lang="en">';
    assert.equal(read(Buffer.from(page)), page); // a text may be that, JSON may not
    const parsed = parseJson(page);
    assert.ok(!parsed.isValid);
    assert.match(jsonFault(page, parsed.reason), /^is a web page \(HTML\), not the file itself/);
    assert.match(jsonFault('{\n"a" 1}', 'x'), /^is not JSON at line 2, column 5: x$/);
    for (const text of ['<svg xmlns="x"/>', '{"html": 1}', 'version 2', '', 'head,age']) {
      assert.equal(impostorOf(Buffer.from(text)), undefined);
    }
  });

  it('an absent file is undefined, one that cannot be read has its own code', async () => {
    const folder = await TestFolder.create();
    const codes = {
      unreadable: 'FACELLM_DATA_NOT_FOUND',
      invalid: 'FACELLM_DATA_INVALID',
    } as const;
    try {
      assert.equal(await readOptionalText(folder.at('none'), codes), undefined);
      const error = await errorOf(readOptionalText(folder.path, codes));
      assert.equal(error.code, 'FACELLM_DATA_NOT_FOUND');
      assert.match(error.message, /EISDIR/);
      writeFileSync(folder.at('a.txt'), '\uFEFFä');
      assert.equal(await readOptionalText(folder.at('a.txt'), codes), 'ä');
      assert.equal(await findImpostor(folder.path), undefined);
      assert.equal(await findImpostor(folder.at('none')), undefined);
    } finally {
      await folder.remove();
    }
  });
});

describe('sources', () => {
  const LIB = fileURLToPath(new URL('../../lib', import.meta.url));

  /** Files that decode bytes themselves, and why they may. */
  const OWN: Readonly<Record<string, string>> = {
    'files/text-file.ts': 'the rule itself',
    'files/lock-owner.ts': 'its own few words, and /proc',
    'files/journal-file.ts': 'a journal of its own, by bytes',
    'packages/version.ts': "the package's own version",
    'tokenizer/detokenizer.ts': 'tokens, not a file',
    'serving/log-probs.ts': 'a token',
    'serving/parse-body.ts': 'the body of a request',
    'data/teachers/openai-batches.ts': "a server's answer",
    'checkpoint/tensor-names.ts': 'a safetensors header that was written here',
    'annotate/places.ts': 'lines of a journal of its own, by bytes',
    'serving/batch-lines.ts': 'lines of an uploaded file, by bytes: each refused for itself',
    'cli/ask.ts': 'a token',
    'generation/fields/grammar-hole.ts': 'tokens',
    'structured/string-hole.ts': 'tokens',
    'cli/parity.ts': 'a safetensors header that is shipped',
  };

  it('read text files by the one rule', () => {
    const decodes =
      /(?:readFile(?:Sync)?|toString|setEncoding)\([^;]*?['"`]utf-?8['"`]|new TextDecoder\(|\^\\uFEFF/i;
    const found = readdirSync(LIB, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => relative(LIB, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
      .filter((name) => decodes.test(readFileSync(join(LIB, name), 'utf8')))
      .filter((name) => !Object.hasOwn(OWN, name));
    assert.deepEqual(found, [], 'use decodeText, readDataText or readOptionalText of lib/files');
  });
});
