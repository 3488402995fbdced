/** `npm run demo`: sets up what is missing, then runs examples/demo in this process, which so gets its signals. */
import { setUp } from './setup.mjs';

setUp();
await import('../test/support/tsx.mjs');
const { main } = await import('../examples/demo/main.ts');
process.exitCode = await main(process.argv.slice(2));
