/**
 * The package's install script. A failure is told in full but does not fail `npm install`: the rest of
 * an application may not need the model, and `npx facellm build` mends it later. CI that wants a
 * failure sets FACELLM_REQUIRE_BUILD=1; FACELLM_SKIP_BUILD=1 leaves everything to `facellm build`.
 */
import { build } from './build.mjs';
import { say, sayError } from './report.mjs';

if (process.env.FACELLM_SKIP_BUILD !== '1') {
  try {
    build();
  } catch (error) {
    sayError(error);
    say('the addon is not built; mend the above, then run `npx facellm build`');
    if (process.env.FACELLM_REQUIRE_BUILD === '1') process.exitCode = 1;
  }
}
