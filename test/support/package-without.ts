/** The compiled package as installed without some of the packages that it needs only for some uses. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

export class PackageWithout {
  readonly folder: string;

  /** @param absent names of packages, with their scopes */
  constructor(absent: RegExp) {
    this.folder = mkdtempSync(join(tmpdir(), 'facellm-without-'));
    cpSync(join(ROOT, 'dist'), join(this.folder, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(this.folder, 'package.json'));
    mkdirSync(join(this.folder, 'node_modules'));
    const inScope = (name: string): string[] =>
      name.startsWith('@')
        ? readdirSync(join(ROOT, 'node_modules', name)).map((one) => `${name}/${one}`)
        : [name];
    for (const name of readdirSync(join(ROOT, 'node_modules')).flatMap(inScope)) {
      if (absent.test(name)) continue;
      mkdirSync(join(this.folder, 'node_modules', name, '..'), { recursive: true });
      symlinkSync(join(ROOT, 'node_modules', name), join(this.folder, 'node_modules', name));
    }
  }

  /** Runs node in the package's folder. */
  node(...args: readonly string[]): SpawnSyncReturns<string> {
    const addon = process.env['FACELLM_ADDON'] ?? join(ROOT, 'build', 'Release', 'facellm.node');
    const env = { ...process.env, FACELLM_ADDON: addon };
    return spawnSync(process.execPath, args, { cwd: this.folder, encoding: 'utf8', env });
  }

  /** Runs the command line. */
  run(...args: readonly string[]): SpawnSyncReturns<string> {
    return this.node(join(this.folder, 'dist', 'cli', 'main.js'), ...args);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
