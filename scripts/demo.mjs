/** `npm run demo`: sets up what is missing, then runs examples/demo in this process, which so gets its signals. */
import { compileTypeScript, installPackages, setUp } from './setup.mjs';

// Help needs no addon, whose build takes minutes.
if (process.argv.some((argument) => argument === '--help' || argument === '-h')) {
  installPackages();
  compileTypeScript();
} else {
  setUp();
}
await import('../test/support/tsx.mjs');
const { main } = await import('../examples/demo/main.ts');
process.exitCode = await main(process.argv.slice(2));
