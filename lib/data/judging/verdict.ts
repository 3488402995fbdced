/** What a judge's shares mean for one answer: how far they bear out what it claims. */
import { VOCABULARY } from '../labels/vocabulary.js';
import type { Plan } from '../synthesis/plan.js';
import { type Claim, claimsOf } from './claims.js';
import type { PictureJudgement } from './judge-journal.js';

export interface JudgedClaim extends Claim {
  /** Of the choices, in their order. */
  readonly shares: readonly number[];
  /** Probability of what is claimed; of an age bracket with its neighbours, whose borders no face shows. */
  readonly support: number;
  /** Whether neighbours are in it. */
  readonly isOrdered: boolean;
}

export type Verdict =
  | { readonly kind: 'judged'; readonly support: number; readonly claims: readonly JudgedClaim[] }
  /** Nothing that the answer may say can be asked for. */
  | { readonly kind: 'no_claim' }
  /** The picture could not be shown to the judge. */
  | { readonly kind: 'unjudged'; readonly problem: string }
  /** The run was stopped before. */
  | { readonly kind: 'open' };

const total = (shares: readonly number[]): number =>
  Math.min(
    1,
    shares.reduce((sum, share) => sum + share, 0),
  );

function judged(claim: Claim, shares: readonly number[]): JudgedClaim {
  const { choices, claimed } = claim;
  const at = choices.indexOf(claimed);
  const isOrdered = choices.every((choice) => VOCABULARY.age.includes(choice));
  const counted = shares.filter((_, i) => at >= 0 && Math.abs(i - at) <= (isOrdered ? 1 : 0));
  return { ...claim, shares, isOrdered, support: total(counted) };
}

/** The least supported claim decides. */
export function verdictOf(
  plan: Plan,
  pair: number,
  text: string,
  judgement: PictureJudgement | undefined,
): Verdict {
  const claims = claimsOf(plan, pair, text);
  if (claims.length === 0) return { kind: 'no_claim' };
  if (judgement === undefined) return { kind: 'open' };
  const { problem, shares } = judgement;
  if (problem !== undefined) return { kind: 'unjudged', problem };
  const all = claims.map((claim) => judged(claim, shares[claim.id] ?? []));
  const support = Math.min(...all.map((claim) => claim.support));
  return { kind: 'judged', support, claims: all };
}
