/** `facellm build`: the same steps as the install script, for machines where scripts are blocked. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface BuildFlags {
  readonly force?: boolean;
}

/** Resolves to the exit code. */
export function runBuild(flags: BuildFlags): Promise<number> {
  const script = fileURLToPath(new URL('../../scripts/install/build.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, ...(flags.force ? ['--force'] : [])], {
    stdio: 'inherit',
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
