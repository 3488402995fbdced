/** What tools leave in the place of a file that they did not fetch: named, so that it can be fetched. */
import { open } from 'node:fs/promises';

export interface Impostor {
  /** Completes a sentence that begins with the file's name; says what to do. */
  readonly text: string;
  /** No text file is ever meant to be this; a page of HTML might be. */
  readonly isNeverMeant: boolean;
}

/** Bytes that tell. */
const START_BYTES = 512;

/** What a download or a checkout put there instead; undefined for anything else. */
export function impostorOf(file: Uint8Array | string): Impostor | undefined {
  const start =
    typeof file === 'string'
      ? file.slice(0, START_BYTES)
      : Buffer.from(file.subarray(0, START_BYTES)).toString('latin1');
  if (/^version https:\/\/git-lfs\.github\.com\/spec\//.test(start)) {
    return {
      text:
        'is a Git LFS pointer, not the file itself; fetch the file with "git lfs pull" in its folder ' +
        '(before that, once: git lfs install)',
      isNeverMeant: true,
    };
  }
  if (/^(\xef\xbb\xbf)?\s*(<!--[^]*?-->\s*)?<(!doctype\s+html|html|head)\b/i.test(start)) {
    return {
      text:
        'is a web page (HTML), not the file itself; fetch the file from its download address, signed in ' +
        'if it asks for that',
      isNeverMeant: false,
    };
  }
  // What the Hugging Face hub answers to a wrong or forbidden address, saved as if it were the file.
  const refusal =
    /^(Entry not found|Repository not found|Invalid username or password|Access to model \S+ is restricted)/;
  const refused = refusal.exec(start)?.[1];
  if (refused === undefined) return undefined;
  return {
    text: `holds a server's refusal ("${refused}"), not the file itself; fetch the file again`,
    isNeverMeant: true,
  };
}

/** A file's first bytes, enough for {@link impostorOf}; undefined where it cannot be read. */
export async function readStart(path: string): Promise<Uint8Array | undefined> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(START_BYTES), 0, START_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } catch {
    return undefined; // a folder, say: whoever reads it reports that
  } finally {
    await file.close();
  }
}

/** As {@link impostorOf}, of a file by its first bytes; undefined also where it cannot be read. */
export async function findImpostor(path: string): Promise<Impostor | undefined> {
  const start = await readStart(path);
  return start === undefined ? undefined : impostorOf(start);
}
