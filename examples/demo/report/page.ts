/** The report as one file: no script, no outside request, pictures and plots within. */
import { facesSection, gridSection } from './faces-section.js';
import { groupsSection, headlines, learningSection, scoresSection } from './figures-section.js';
import { html, type Html, raw } from './markup.js';
import type { Pictures, ReportData } from './report-data.js';
import { STYLE } from './style.js';

function stepsSection({ data, model, training, test }: ReportData): Html {
  return html`<h2>What happened, in three steps</h2>
    <div class="row steps">
      <div class="card">
        <h3>Portraits became questions</h3>
        <p>
          ${data.pairs} questions about ${data.pictures} pictures of ${data.people} people, answered
          from their labels: “${data.question}” “${data.answer}”.
        </p>
      </div>
      <div class="card">
        <h3>A small model learnt</h3>
        <p>
          InternVL3’s architecture with ${(model.parameters / 1e6).toFixed(2)} million parameters
          and its own vocabulary of ${model.vocabularySize} tokens, from random weights, in
          ${training.steps} updates on the processor.
        </p>
      </div>
      <div class="card">
        <h3>It was examined</h3>
        <p>
          ${test.pictures.length} pictures of ${test.people} people that training never showed, by
          the same questions, before and after.
        </p>
      </div>
    </div> `;
}

function limitsSection(): Html {
  return html`<h2>Limits, bias, and what it must not be used for</h2>
    <ul>
      <li>
        <b>Not for identifying or watching people, and not for deciding anything about them</b>:
        work, credit, police, borders, health, school. A good figure here is no evidence that such a
        use is safe, lawful or fair.
      </li>
      <li>
        The data are tiny and come from two studios. 82 % of the congress people in training are
        men, nearly all smile, most are white and over 40; the London people are 18 to 54.
        Elsewhere, and on people unlike these, errors are unknown.
      </li>
      <li>
        Gender is a binary label in both sources; the model repeats how people were labelled. It
        does not see who somebody is.
      </li>
      <li>
        Smile was taught and tested on the London pictures alone, which show every person once
        smiling and once not.
      </li>
      <li>
        The labels are the teacher’s whole knowledge: the model can say nothing that was not asked
        in training.
      </li>
    </ul>
    <p class="faint">
      Pictures: official portraits of members of the US Congress (public domain); DeBruine, L. &amp;
      Jones, B. (2017), Face Research Lab London Set, doi 10.6084/m9.figshare.5047666, CC BY 4.0,
      cropped and resized. See examples/faces/ATTRIBUTION.md.
    </p> `;
}

function detailsSection({ machine, seed, madeAt, commands, realCommands }: ReportData): Html {
  const { processor, cores, memoryGigabytes, system, node, facellm } = machine;
  return html`<h2>Do it again</h2>
    <p>The stages of the demo as commands, and a question to your model:</p>
    <pre>${commands.join('\n')}</pre>
    <p>With published weights and your own pictures, on a GPU:</p>
    <pre>${realCommands.join('\n')}</pre>
    <p class="faint">
      Made ${madeAt} with seed ${seed}, facellm ${facellm}, Node ${node}, on ${system},
      ${processor}, ${cores} cores, ${memoryGigabytes} GB of memory. The numbers are in report.json
      beside this file.
    </p> `;
}

export function pageOf(data: ReportData, pictures: Pictures): string {
  const title = 'A face model, from nothing, on this machine';
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        />
        <title>FaceLLM demo: ${title}</title>
        <style>
          ${raw(STYLE)}
        </style>
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          <p class="lead">
            A vision-language model learnt to answer questions about faces from
            ${data.data.pictures} labelled portraits in ${(data.training.seconds / 60).toFixed(1)}
            minutes, without a GPU and without anybody’s weights.
          </p>
          ${
            data.isQuick
              ? html`<p class="warning">
                  A smoke test: a few pictures and updates, to see that everything runs. These
                  scores mean nothing. For the real run: npm run demo
                </p>`
              : ''
          }
          ${headlines(data)} ${stepsSection(data)} ${facesSection(data, pictures)}
          ${scoresSection(data)} ${learningSection(data)} ${groupsSection(data)}
          ${gridSection(data, pictures)} ${limitsSection()} ${detailsSection(data)}
        </main>
      </body>
    </html> `.text;
}
