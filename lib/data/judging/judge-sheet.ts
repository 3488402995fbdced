/** The sheet of judged answers: picture, question, answer, what it claims with the judge's shares, and what became of it. */
import { mapBounded } from '../../jobs/index.js';
import {
  barsHtml,
  cardsPage,
  escapeHtml,
  type Html,
  PICTURES_AT_ONCE,
  picturesHtml,
  sheetPictures,
} from '../../sheet/index.js';
import type { JudgementSummary } from './tally.js';
import type { JudgedClaim, Verdict } from './verdict.js';

export interface SheetAnswer {
  readonly file: string;
  /** Absolute. */
  readonly path: string;
  /** Of the picture's bytes. */
  readonly sha256: string | null;
  readonly id: string;
  /** As the student is asked. */
  readonly question: string;
  readonly text: string;
  readonly verdict: Extract<Verdict, { kind: 'judged' }>;
  readonly isDoubtful: boolean;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function claimHtml({ id, question, choices, claimed, ...judged }: JudgedClaim): Html {
  const { shares, support, isOrdered } = judged;
  const bars = barsHtml(choices.map((text, i) => ({ text, share: shares[i] ?? 0 })));
  const name = id.replace('about:', '');
  return `<h3 title="${escapeHtml(question)}">${escapeHtml(`${name}: claims ${claimed}`)} <span class="none">(${percent(support)}${isOrdered ? ' with its neighbours' : ''})</span></h3>\n${bars}`;
}

async function cardHtml(answer: SheetAnswer, mark: string): Promise<Html> {
  const { file, path, sha256, id, question, text, verdict, isDoubtful } = answer;
  const pictures = picturesHtml(await sheetPictures(path, sha256));
  const told = isDoubtful ? `<p class="mark bad">${mark}</p>` : '<p class="mark">kept</p>';
  return `${pictures}
<h2>${escapeHtml(file)}</h2>
<p class="facts">${escapeHtml(`${id}: ${question}`)}</p>
<p class="asked">${escapeHtml(text)}</p>
${told}
${verdict.claims.map(claimHtml).join('\n')}`;
}

/** @param answers the least supported first */
export async function judgeSheet(
  answers: readonly SheetAnswer[],
  { judged, doubtful, threshold, action, noClaim, unjudged }: JudgementSummary,
): Promise<string> {
  const mark = action === 'drop' ? 'dropped' : 'marked as doubtful';
  const cards = await mapBounded(answers, PICTURES_AT_ONCE, (answer) => cardHtml(answer, mark));
  const shown = answers.length < judged ? `${answers.length} of ${judged}` : `All ${judged}`;
  const intro = [
    `${shown} judged answers, the least supported first. ${doubtful} are below ${threshold} and ${mark}.`,
    `Support is the probability that the judge gives to what an answer claims of the person; the least supported claim decides. Answers that claim nothing that can be asked for: ${noClaim}; about pictures that could not be shown to the judge: ${unjudged}.`,
    "The judge is a model, too: that it doubts an answer does not make it wrong, and it may doubt some groups' answers more than others'.",
    'The pictures are in this file. Treat it as you treat them.',
  ];
  return cardsPage({ title: 'Judged answers', intro, sections: [{ cards }] });
}
