/**
 * Mocha's spec reporter, which also writes the counts as JSON to the file named by FACELLM_COUNTS: passed, failed, and
 * what was skipped, each with the reason that test/support/skip.ts left on the test or on its suite.
 */
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

/** What a failed test has left open (a server, a child) would keep mocha from exiting, for ever. */
const GRACE_MS = 60_000;

function reasonOf(test) {
  for (let at = test; at; at = at.parent) if (at.skipReason) return at.skipReason;
  return `no reason given: ${test.fullTitle()}`;
}

module.exports = class SpecAndCounts extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const skipped = [];
    runner.on('pending', (test) => skipped.push(reasonOf(test)));
    runner.once('end', () => {
      const { passes, failures } = runner.stats;
      const file = process.env.FACELLM_COUNTS;
      if (file) writeFileSync(file, JSON.stringify({ passed: passes, failed: failures, skipped }));
      const leave = () => {
        process.stderr.write(
          'all suites have ended and something is left open: the process is ended\n',
        );
        process.exit(1);
      };
      setTimeout(leave, GRACE_MS).unref();
    });
  }
};
