/** Who may ask what: keys are kept as digests and compared in constant time, all of them each time. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

import { createError } from '../errors.js';
import { ApiError } from './api-error.js';

export const RIGHTS = ['infer', 'metrics', 'admin', 'priority'] as const;
export type Right = (typeof RIGHTS)[number];

/** Who asks; the name stands in logs. */
export interface Caller {
  readonly name: string;
  readonly rights: ReadonlySet<Right>;
}

interface Entry extends Caller {
  readonly digest: Buffer;
}

/** Where no keys are: everybody who reaches the server. */
const ANYBODY: Caller = { name: '', rights: new Set(RIGHTS) };

const digestOf = (key: string): Buffer => createHash('sha256').update(key).digest();

function readLine(line: string, at: number, problems: string[]): Entry | undefined {
  const [name = '', digest = '', rights = 'infer', ...others] = line.trim().split(':');
  const given = rights.split(',').map((right) => right.trim());
  const unknown = given.filter((right) => !RIGHTS.includes(right as Right));
  // The line itself is never told: its digest is half a secret.
  const where = `key ${at + 1}`;
  if (!/^[\w.-]{1,64}$/.test(name))
    problems.push(`${where}: expected a name of letters, digits, . _ -`);
  if (!/^[0-9a-f]{64}$/i.test(digest)) {
    problems.push(`${where}: expected the key's sha256 as 64 hexadecimal digits`);
  }
  if (unknown.length > 0 || others.length > 0) {
    problems.push(`${where}: expected rights among ${RIGHTS.join(', ')}, with commas between`);
  }
  return { name, digest: Buffer.from(digest, 'hex'), rights: new Set(given as Right[]) };
}

export class Keys {
  readonly #entries: readonly Entry[];

  /**
   * @param lines `name:sha256-hex[:rights]`; empty ones and those that begin with # are skipped
   * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong line by its place
   */
  constructor(lines: readonly string[]) {
    const problems: string[] = [];
    const used = lines
      .map((line, at) => ({ line, at }))
      .filter(({ line }) => line.trim() !== '' && !line.trim().startsWith('#'));
    const entries = used.flatMap(({ line, at }) => readLine(line, at, problems) ?? []);
    const names = entries.map(({ name }) => name);
    const doubled = names.filter((name, i) => names.indexOf(name) !== i);
    problems.push(...doubled.map((name) => `the name ${name} is given twice`));
    if (lines.length > 0 && used.length === 0) problems.push('there is no key in it');
    if (problems.length > 0) {
      throw createError('FACELLM_INVALID_ARGUMENT', 'the API keys are wrong', {
        details: problems,
      });
    }
    this.#entries = entries;
  }

  /** Nobody is asked for one. */
  get areOff(): boolean {
    return this.#entries.length === 0;
  }

  /** Several callers share what is computed: who asked what before must not be told by the time it takes. */
  get isShared(): boolean {
    return this.#entries.length > 1;
  }

  /** @throws ApiError 401 without a key and with a wrong one, which look the same */
  caller(authorization: string | undefined): Caller {
    if (this.areOff) return ANYBODY;
    const key = /^Bearer +(\S{1,512}) *$/i.exec(authorization ?? '')?.[1] ?? '';
    const digest = digestOf(key);
    let found: Entry | undefined;
    for (const entry of this.#entries) {
      if (timingSafeEqual(entry.digest, digest)) found = entry;
    }
    if (found !== undefined) return found;
    throw new ApiError(401, 'invalid_api_key', 'expected a valid key: Authorization: Bearer KEY', {
      headers: { 'www-authenticate': 'Bearer' },
    });
  }
}

/** @throws ApiError 403 */
export function requireRight(caller: Caller, right: Right): void {
  if (caller.rights.has(right)) return;
  throw new ApiError(403, 'insufficient_permissions', `this key lacks the right '${right}'`);
}

export interface NewKey {
  /** For the client, shown once. */
  readonly key: string;
  /** For the server's file. */
  readonly line: string;
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT */
export function createKey(name: string, rights: readonly string[] = ['infer']): NewKey {
  const key = `fk-${randomBytes(32).toString('base64url')}`;
  const line = `${name}:${digestOf(key).toString('hex')}:${rights.join(',')}`;
  new Keys([line]);
  return { key, line };
}
