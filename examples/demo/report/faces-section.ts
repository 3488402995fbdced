/** The parts of the report that show pictures: five faces with their answers, and all test pictures. */
import type { PictureAnswer } from '../figures.js';
import type { Face, FaceAnswer } from '../stages/faces.js';
import { html, type Html } from './markup.js';
import type { Pictures, ReportData, TestPicture } from './report-data.js';

/** Of what was written; the bars show what was thought. */
function verdict({ answer, truth }: FaceAnswer): Html {
  if (truth === undefined) return html`<span class="faint">not labelled</span>`;
  return answer === truth
    ? html`<span class="right">✓ right</span>`
    : html`<span class="wrong">✗ wrong: ${truth}</span>`;
}

function answerHtml(face: FaceAnswer): Html {
  const { question, answer, choices, truth } = face;
  const most = Math.max(...choices.map(({ probability }) => probability));
  const bars = choices.map(
    ({ text, probability }) =>
      html`<div class="bar${probability === most ? ' best' : ''}">
        ${text === truth ? `${text} ✓` : text}<span
          ><i style="width:${(100 * probability).toFixed(1)}%"></i></span
        ><em>${Math.round(100 * probability)} %</em>
      </div>`,
  );
  return html`<div class="answer">
    <div class="faint">${question.slice(0, question.indexOf('?') + 1)}</div>
    <q>${answer}</q> ${verdict(face)}${bars}
  </div>`;
}

function faceCard({ file, answers }: Face, number: number, pictures: Pictures): Html {
  const source = file.split('/')[0] ?? '';
  return html`<article class="card face">
    <img
      src="${pictures.get(file) ?? ''}"
      alt="Held-out portrait ${number} of five, from the ${source} set"
    />
    <div>${answers.map(answerHtml)}</div>
  </article> `;
}

export function facesSection({ faces, faceRule }: ReportData, pictures: Pictures): Html {
  return html`<h2>Five faces it has never seen</h2>
    <p>
      Each card has the answer as the model wrote it, held against the label, and how probable it
      finds each possible one; the true one is ticked. Nobody picked the faces for success: they are
      ${faceRule}.
    </p>
    <div class="faces">${faces.map((face, i) => faceCard(face, i + 1, pictures))}</div> `;
}

function mark({ attribute, answer, truth }: PictureAnswer): Html {
  const isRight = answer === truth;
  const told = isRight ? `${attribute}: ${answer}, right` : `${attribute}: ${answer}, is ${truth}`;
  const letter = attribute.slice(0, 1).toUpperCase();
  return html`<span class="${isRight ? 'right' : 'wrong'}" title="${told}"
    >${letter}${isRight ? '✓' : '✗'}</span
  >`;
}

function pictureHtml({ file, answers }: TestPicture, pictures: Pictures): Html {
  const wrong = answers.filter(({ answer, truth }) => answer !== truth);
  const told = wrong.map(({ attribute, answer, truth }) => `${attribute} ${answer}, is ${truth}`);
  const alt = wrong.length === 0 ? `${file}: all right` : `${file}: wrong on ${told.join('; ')}`;
  return html`<div class="picture${wrong.length > 0 ? ' has-wrong' : ''}">
    <img src="${pictures.get(file) ?? ''}" alt="${alt}" loading="lazy" />
    <div>${answers.map(mark)}</div>
  </div> `;
}

export function gridSection({ test, figures }: ReportData, pictures: Pictures): Html {
  const wrong = figures.map(({ attribute }) => {
    const answers = test.pictures.flatMap(({ answers: all }) => all);
    const of = answers.filter((one) => one.attribute === attribute);
    return `${attribute} ${of.filter(({ answer, truth }) => answer !== truth).length} of ${of.length}`;
  });
  return html`<h2>All ${test.pictures.length} test pictures</h2>
    <p>
      By the most probable choice. <b>G</b> gender, <b>E</b> eyewear, <b>S</b> smile, asked where
      the label is known; framed where something is wrong. Wrong: ${wrong.join(', ')}.
    </p>
    <div class="pictures">${test.pictures.map((picture) => pictureHtml(picture, pictures))}</div> `;
}
