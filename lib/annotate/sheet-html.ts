/** The contact sheet's page. All text of pictures, questions and models is escaped; numbers are ours. */
import {
  barsHtml,
  cardsPage,
  cssPercent as place,
  escapeHtml,
  picturesHtml,
  type SheetPictures,
} from '../sheet/index.js';
import type { AnnotationRow } from './annotate-picture.js';
import type { AnnotationAnswer } from './answers.js';
import type { AnnotationField } from './columns.js';

export interface SheetCard {
  readonly row: AnnotationRow;
  readonly pictures: SheetPictures;
}

function boxHtml({ face, width, height }: AnnotationRow): string {
  if (face === null || width === null || height === null) return '';
  const { x, y, width: w, height: h } = face.box;
  const [left, top] = [Math.max(0, x / width), Math.max(0, y / height)];
  const [right, bottom] = [Math.min(1, (x + w) / width), Math.min(1, (y + h) / height)];
  const edges = `left:${place(left)};top:${place(top)};width:${place(right - left)};height:${place(bottom - top)}`;
  return `<i class="box" style="${edges}"></i>`;
}

function answerHtml(name: string, question: string, answer: AnnotationAnswer): string {
  const bars = Object.entries(answer.probabilities).map(([text, share]) => ({ text, share }));
  const best =
    answer.best === null ? ' <span class="none">(below the least probability)</span>' : '';
  return `<h3 title="${escapeHtml(question)}">${escapeHtml(name)}${best}</h3>\n${barsHtml(bars)}`;
}

/** What was written, whatever it is. @param share of it; null: nothing tells how sure the model is */
function textHtml(name: string, text: string, share: number | null): string {
  const sure = share === null ? '' : ` <span class="none">(${(100 * share).toFixed(1)} %)</span>`;
  return `<h3>${escapeHtml(name)}${sure}</h3>\n<p class="asked">${escapeHtml(text)}</p>`;
}

function fieldHtml(field: AnnotationField, { answers, texts, values }: AnnotationRow): string[] {
  const { kind, name } = field;
  if (kind === 'closed') {
    const answer = answers[name];
    return answer === undefined ? [] : [answerHtml(name, field.question, answer)];
  }
  const { value, probability = null } = values?.[name] ?? {};
  const told = typeof value === 'string' ? value : value && JSON.stringify(value);
  const text = kind === 'text' ? texts?.[name]?.text : told;
  return text === undefined || text === null ? [] : [textHtml(name, String(text), probability)];
}

function cardHtml(card: SheetCard, fields: readonly AnnotationField[]): string {
  const { file, face, facesFound } = card.row;
  const facts = [
    ...(face === null
      ? []
      : [`face ${face.index + 1} of ${facesFound ?? 1}`, `score ${face.score.toFixed(2)}`]),
    ...(face?.flags ?? []),
  ];
  const told = fields.flatMap((field) => fieldHtml(field, card.row));
  return `${picturesHtml(card.pictures, boxHtml(card.row))}
<h2>${escapeHtml(file)}</h2>
<p class="facts">${escapeHtml(facts.join(', '))}</p>
${told.join('\n')}`;
}

/** As the rows are sorted by `surenessOf`. */
function orderText(fields: readonly AnnotationField[]): string {
  const has = (...kinds: readonly AnnotationField['kind'][]): boolean =>
    fields.some(({ kind }) => kinds.includes(kind));
  if (has('closed')) {
    return "the least sure first: by the smallest distance between a question's best and second answer";
  }
  if (has('number', 'string')) {
    return "the least sure first: by the smallest probability of a property's value";
  }
  return 'in the order of the table: of texts nothing tells how sure the model is';
}

export function sheetHtml(
  cards: readonly SheetCard[],
  fields: readonly AnnotationField[],
  { asked, others }: { readonly asked: number; readonly others: number },
): string {
  const shown = cards.length < asked ? `${cards.length} of ${asked} rows` : `All ${asked} rows`;
  const rest = others > 0 ? ` Rows without answers, not shown: ${others}.` : '';
  return cardsPage({
    title: 'Answers to check',
    intro: [
      `${shown}, ${orderText(fields)}.${rest}`,
      'The pictures are in this file. Treat it as you treat them.',
    ],
    sections: [{ cards: cards.map((card) => cardHtml(card, fields)) }],
  });
}
