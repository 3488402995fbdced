/**
 * The package's install script. A failure is told in full but does not fail `npm install`: the rest of
 * an application may not need the model, and `npx facellm build` mends it later. CI that wants a
 * failure sets FACELLM_REQUIRE_BUILD=1; FACELLM_SKIP_BUILD=1 leaves everything to `facellm build`.
 */
import { existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from './build.mjs';
import { say, sayError } from './report.mjs';

if (process.env.FACELLM_SKIP_BUILD !== '1') {
  try {
    await build();
    // Hundreds of megabytes that only a second build would use: a clone has those, an application does not.
    const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
    const precompiled = join(root, 'build', 'CMakeFiles', 'facellm_core.dir', 'cmake_pch.hxx.gch');
    if (!existsSync(join(root, '.git'))) rmSync(precompiled, { force: true });
  } catch (error) {
    sayError(error);
    say('the addon is not built; mend the above, then run `npx facellm build`');
    if (process.env.FACELLM_REQUIRE_BUILD === '1') process.exitCode = 1;
  }
}
