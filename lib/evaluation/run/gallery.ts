/**
 * What each model answered wrongly, surest first: questions with their answers, bars and, where that is asked for, pictures.
 * A wrong answer that a model is sure of is a wrong label, a misread question or a blind spot: the first ones to look at.
 */
import { decodeImage } from '../../image/index.js';
import { mapBounded } from '../../jobs/index.js';
import { barsHtml, cardsPage, escapeHtml, type Html, thumbnail } from '../../sheet/index.js';
import { mostProbable } from '../outcomes.js';
import type { Benchmark, EvaluationItem, GalleryOptions, ItemOutcome, ModelRun } from '../types.js';

type Asked = Pick<Benchmark, 'items' | 'readings' | 'readText' | 'describeChoice'>;

interface Wrong {
  /** Of the item. */
  readonly place: number;
  readonly outcome: ItemOutcome;
  /** What the model was taken for; undefined: its text names nothing. */
  readonly taken: number | undefined;
  /** The probability of it; 0 of generated text alone. */
  readonly sureness: number;
}

/** Pixels of an embedded picture's longer side. */
const PICTURE = 320;
const PICTURES_AT_ONCE = 4;
/** More are counted. */
const PICTURES_A_CARD = 4;
const TEXT = 400;

/** By probabilities where they were asked for, else by what was written. Questions without any answer are listed elsewhere. */
function wrongOf({ items, readText }: Asked, { outcomes }: ModelRun): readonly Wrong[] {
  const all = outcomes.flatMap((outcome, place): Wrong[] => {
    const item = items[place];
    if (item === undefined || outcome.failure !== undefined) return [];
    const { probabilities, text = '' } = outcome;
    const taken = probabilities ? mostProbable(outcome) : readText?.(place, text);
    if (taken === item.answer) return [];
    return [{ place, outcome, taken, sureness: probabilities?.[taken ?? -1] ?? 0 }];
  });
  // Equally sure ones stand in the order of the items.
  return all.sort((a, b) => b.sureness - a.sureness || a.place - b.place);
}

const shortened = (text: string): string => (text.length > TEXT ? `${text.slice(0, TEXT)}…` : text);

async function picturesHtml({ images }: EvaluationItem): Promise<Html> {
  const shown = images.slice(0, PICTURES_A_CARD).map(async (path) => {
    try {
      const url = await thumbnail(await decodeImage(path), PICTURE);
      return `<div><img src="${url}" alt="" loading="lazy"></div>`;
    } catch {
      return '<p class="none">cannot be shown</p>';
    }
  });
  const rest = images.length - shown.length;
  const more = rest > 0 ? `<p class="more">and ${rest} more picture(s)</p>` : '';
  return `<div class="pictures">${(await Promise.all(shown)).join('')}</div>${more}`;
}

/** `tuned: Female, right`, for each of the others. */
function othersHtml(asked: Asked, name: string, place: number, runs: readonly ModelRun[]): Html {
  const item = asked.items[place];
  const told = runs.flatMap(({ name: other, outcomes }) => {
    const outcome = outcomes[place];
    if (other === name || outcome === undefined || item === undefined) return [];
    if (outcome.failure !== undefined) return [`${other}: could not be asked`];
    const { probabilities, text = '' } = outcome;
    const taken = probabilities ? mostProbable(outcome) : asked.readText?.(place, text);
    const share = probabilities?.[taken ?? -1];
    const sure = share === undefined ? '' : ` (${(100 * share).toFixed(1)} %)`;
    const verdict = taken === item.answer ? 'right' : 'wrong';
    return [`${other}: ${choiceOf(asked, place, taken)}${sure}, ${verdict}`];
  });
  return told.map((text) => `<p class="facts">${escapeHtml(text)}</p>`).join('');
}

function choiceOf({ items, describeChoice }: Asked, place: number, choice?: number): string {
  if (choice === undefined) return 'no answer read';
  return describeChoice?.(place, choice) ?? items[place]?.choices[choice] ?? '';
}

async function cardHtml(
  asked: Asked,
  runs: readonly ModelRun[],
  { name }: ModelRun,
  { place, outcome, taken }: Wrong,
  hasPictures: boolean,
): Promise<Html> {
  const item = asked.items[place];
  if (item === undefined) return '';
  const { probabilities, text } = outcome;
  const bars = (probabilities ?? []).map((share, choice) => ({
    text: choiceOf(asked, place, choice),
    share,
    isRight: choice === item.answer,
  }));
  const facts = Object.entries(item.tags).map(([tag, value]) => `${tag}: ${value}`);
  return [
    hasPictures ? await picturesHtml(item) : '',
    `<h2>${escapeHtml(item.id)}</h2>`,
    `<p class="facts">${escapeHtml(facts.join(', '))}</p>`,
    `<p class="asked">${escapeHtml(shortened(item.prompt))}</p>`,
    `<h3>${escapeHtml(`${choiceOf(asked, place, taken)}; labelled ${choiceOf(asked, place, item.answer)}`)}</h3>`,
    barsHtml(bars),
    text === undefined
      ? ''
      : `<p class="facts">Written: ${escapeHtml(shortened(text) || '(nothing)')}</p>`,
    othersHtml(asked, name, place, runs),
  ].join('\n');
}

/** The whole page. Equal runs make equal bytes. */
export async function galleryHtml(
  asked: Asked,
  runs: readonly ModelRun[],
  { most, hasPictures }: GalleryOptions,
): Promise<string> {
  const sections = [];
  for (const run of runs) {
    const wrong = wrongOf(asked, run);
    const answered = run.outcomes.filter(({ failure }) => failure === undefined).length;
    const shown = wrong.slice(0, most);
    const cards = await mapBounded(shown, PICTURES_AT_ONCE, (one) =>
      cardHtml(asked, runs, run, one, hasPictures),
    );
    const count = shown.length < wrong.length ? `, the first ${shown.length} of them` : '';
    sections.push({ title: `${run.name}: ${wrong.length} of ${answered} wrong${count}`, cards });
  }
  return cardsPage({
    title: 'Answered wrongly, surest first',
    intro: [
      'A wrong answer that a model is sure of is a wrong label, a question that was read otherwise, or something that it cannot see. Ordered by the probability of the wrong answer; the labelled one is ticked. Questions that could not be asked are in the report.',
      hasPictures
        ? 'The pictures are in this file. Treat it as you treat them.'
        : 'Without pictures: --gallery-pictures (galleryPictures: true) puts them in.',
    ],
    sections,
  });
}
