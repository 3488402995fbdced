/** Cards: README.md of a dataset or a model, in the form that the hub and people read. */
export {
  type CardFacts,
  CARD_FACTS,
  type CardQuantisation,
  type CardScores,
  type CardTraining,
  readCardFacts,
} from './facts.js';
export { type Cell, frontMatter, markdownTable, readFrontMatter } from './markdown.js';
export { modelCard } from './model-card.js';
export { CARD, OWN_CARD, updateCard, writeCard, type WrittenCard } from './write-card.js';
