/** The hashes by which hub, git and data archives name what a file must hold. */
import { createHash, type Hash } from 'node:crypto';

export interface ExpectedHash {
  /** `git-blob`: sha1 of git's header and the content, git's name of a file. */
  readonly algorithm: 'sha256' | 'git-blob' | 'md5';
  /** Lower-case hex. */
  readonly hex: string;
}

const HEX_LENGTH = { sha256: 64, 'git-blob': 40, md5: 32 } as const;

export function isHash(algorithm: ExpectedHash['algorithm'], hex: unknown): hex is string {
  return typeof hex === 'string' && hex.length === HEX_LENGTH[algorithm] && /^[0-9a-f]+$/.test(hex);
}

/** A hash of a file of `size` bytes that is given piece by piece. */
export function startHash({ algorithm }: ExpectedHash, size: number): Hash {
  if (algorithm !== 'git-blob') return createHash(algorithm);
  return createHash('sha1').update(`blob ${size}\0`);
}
