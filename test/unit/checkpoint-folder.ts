/** Temporary checkpoint folders for the tests of lib/checkpoint, made from the golden ones. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { FaceLlmError } from '../../lib/errors.js';

export const GOLDEN: string = fileURLToPath(new URL('../fixtures/golden', import.meta.url));

export type Json = Record<string, unknown>;

export class TestFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<TestFolder> {
    return new TestFolder(await mkdtemp(join(tmpdir(), 'facellm-unit-')));
  }

  at(...steps: string[]): string {
    return join(this.path, ...steps);
  }

  async write(name: string, content: string | Json): Promise<void> {
    await mkdir(dirname(this.at(name)), { recursive: true });
    await writeFile(this.at(name), typeof content === 'string' ? content : JSON.stringify(content));
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true });
  }
}

export async function readGolden(name: string): Promise<Json> {
  return JSON.parse(await readFile(join(GOLDEN, name), 'utf8')) as Json;
}

/** Copies the small files of a golden checkpoint, not the weights. */
export async function copyGolden(name: string, folder: TestFolder): Promise<void> {
  await cp(join(GOLDEN, name), folder.path, {
    recursive: true,
    filter: (source) => !source.endsWith('.safetensors'),
  });
}

/** Sets `a.b.c` in a JSON object; undefined removes the key. */
export function setKey(object: Json, path: string, value: unknown): void {
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  let target = object;
  for (const step of steps) target = target[step] as Json;
  if (value === undefined) Reflect.deleteProperty(target, last);
  else target[last] = value;
}

/** The FaceLlmError that `action` rejects with; anything else fails the test. */
export async function errorOf(action: Promise<unknown>): Promise<FaceLlmError> {
  try {
    await action;
  } catch (error) {
    if (error instanceof FaceLlmError) return error;
    throw error;
  }
  throw new Error('expected a rejection');
}
