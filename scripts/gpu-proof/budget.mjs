/** Who may take how long: each part has a limit of its own, and what later parts cannot do without is kept for them. */

/**
 * @typedef {object} Share
 * @property {string} name
 * @property {number} limitS the most that the part may take, in seconds
 * @property {number} reserveS what it needs at least: earlier parts leave that much
 */

export class Budget {
  #shares;
  #endS;
  #now;

  /**
   * @param {number} totalS
   * @param {readonly Share[]} shares in the order of work
   * @param {() => number} [now] seconds of a clock
   */
  constructor(totalS, shares, now = () => performance.now() / 1000) {
    this.#shares = shares;
    this.#now = now;
    this.#endS = now() + totalS;
  }

  get leftS() {
    return Math.max(0, this.#endS - this.#now());
  }

  /**
   * Seconds for a part that starts now, or 0 where what is left is less than half of what it needs: then it is left out, and
   * those behind it have its time.
   *
   * @param {string} name
   */
  limitOf(name) {
    const index = this.#shares.findIndex((share) => share.name === name);
    const share = this.#shares[index];
    if (!share) throw new Error(`the budget knows no part ${name}`);
    const kept = this.#shares.slice(index + 1).reduce((sum, { reserveS }) => sum + reserveS, 0);
    const own = Math.min(share.limitS, Math.max(this.leftS - kept, share.reserveS), this.leftS);
    return own < share.reserveS / 2 ? 0 : own;
  }
}
