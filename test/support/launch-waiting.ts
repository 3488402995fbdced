/** A launcher of two ranks that wait for SIGINT; test/unit/distributed-launch.test.ts sends it one. */
import { launch } from '../../lib/distributed/index.js';

const RANK = `
  let count = 0;
  process.on('SIGINT', () => {
    count += 1;
    setTimeout(() => { console.log(count, 'SIGINT'); process.exit(130); }, 100);
  });
  setInterval(() => {}, 1000);
  console.log('ready');`;

process.exitCode = await launch({
  processes: 2,
  program: process.execPath,
  args: ['-e', RANK],
  env: process.env,
  leaderOutput: 'pipe',
  stdout: process.stdout,
  stderr: process.stderr,
});
