/** The parts of the report that show numbers: scores, plots, groups. */
import type { AttributeFigures } from '../figures.js';
import { estimateText, gapOf } from '../summary.js';
import { groupChart, lossChart, reliabilityChart } from './charts.js';
import { html, type Html } from './markup.js';
import type { ReportData } from './report-data.js';

/** A number at a glance: before is a mark on the bar of after. */
function scoreCard({ attribute, before, after, people }: AttributeFigures): Html {
  const [was, is] = [before.probability.balancedAccuracy, after.probability.balancedAccuracy];
  return html`<div class="card score">
    <h3>${attribute}</h3>
    <b>${is.value.toFixed(2)}</b>
    <div class="meter">
      <i style="width:${(100 * is.value).toFixed(1)}%"></i
      ><u style="left:${(100 * was.value).toFixed(1)}%"></u>
    </div>
    <div class="faint">
      balanced accuracy on ${people} unseen people; before training ${was.value.toFixed(2)}, the
      mark
    </div>
  </div> `;
}

export function headlines({ figures }: ReportData): Html {
  return html`<div class="row">${figures.map(scoreCard)}</div> `;
}

export function scoresSection({ figures }: ReportData): Html {
  const rows = figures.map(
    ({ attribute, people, pictures, chance, before, after }) =>
      html`<tr>
        <td>${attribute}</td>
        <td class="number">${people}</td>
        <td class="number">${pictures}</td>
        <td class="number">${chance.toFixed(3)}</td>
        <td class="number">${estimateText(before.probability.balancedAccuracy)}</td>
        <td class="number"><b>${estimateText(after.probability.balancedAccuracy)}</b></td>
        <td class="number">${estimateText(after.text.balancedAccuracy)}</td>
        <td class="number">${after.text.unread}</td>
      </tr> `,
  );
  return html`<h2>Scores on unseen people</h2>
    <p>
      Balanced accuracy: the mean share right of each answer, so that guessing the commonest one
      gains nothing. Read from the probabilities of the possible answers, and again from the text
      that the model wrote. In brackets: 95 % bootstrap intervals.
    </p>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th>question</th>
            <th class="number">people</th>
            <th class="number">pictures</th>
            <th class="number">guessing</th>
            <th class="number">before training</th>
            <th class="number">after, by probability</th>
            <th class="number">after, by text</th>
            <th class="number">text unread</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div> `;
}

export function learningSection({ training, figures }: ReportData): Html {
  return html`<h2>How it learnt</h2>
    <figure class="card">
      ${lossChart(training.losses)}
      <figcaption>
        Loss: nats a token of the answer, of each update that was logged (pale) and smoothed, on a
        logarithmic axis. ${training.steps} updates in ${(training.seconds / 60).toFixed(1)}
        minutes.
      </figcaption>
    </figure>
    <h2>Can its probabilities be believed?</h2>
    <figure class="card">
      ${reliabilityChart(figures)}
      <figcaption>
        Share right among answers that the model finds equally probable, with their number. Bars
        that reach the dashed line are as often right as the model says; bars below it are
        over-confident.
      </figcaption>
    </figure> `;
}

function gapText({ attribute, groups }: AttributeFigures): Html {
  const gaps = [...new Set(groups.map(({ by }) => by))].flatMap((by) => {
    const gap = gapOf(groups.filter((group) => group.by === by));
    if (gap === undefined) return [];
    const { best, worst } = gap;
    const size = best.accuracy.value - worst.accuracy.value;
    return [size < 0.005 ? `by ${by} none` : `by ${by} ${size.toFixed(2)} (${worst.group})`];
  });
  return html`<li>
    <b>${attribute}</b>: ${gaps.length === 0 ? 'one group only' : gaps.join(', ')}
  </li>`;
}

export function groupsSection({ figures }: ReportData): Html {
  return html`<h2>Who is served worse?</h2>
    <p>
      Share right of each group, with 95 % Wilson intervals. Most groups are small: a gap between
      wide intervals may be chance, and a missing gap is no proof of fairness. Largest gaps, and the
      group that is served worst:
    </p>
    <ul>
      ${figures.map(gapText)}
    </ul>
    <div class="row groups">
      ${figures.map((one) => html`<figure class="card">${groupChart(one)}</figure>`)}
    </div> `;
}
