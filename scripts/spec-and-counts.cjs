/** Mocha's spec reporter, which also writes the counts as JSON to the file named by FACELLM_COUNTS. */
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class SpecAndCounts extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = runner.stats;
      const file = process.env.FACELLM_COUNTS;
      if (file)
        writeFileSync(file, JSON.stringify({ passed: passes, failed: failures, skipped: pending }));
    });
  }
};
