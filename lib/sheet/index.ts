/** Contact sheets: pictures with what a model says of them, as one HTML file for people to look through. */
export { barsHtml, cardsPage, cssPercent, type Html, thumbnail } from './cards.js';
export { escapeHtml } from './escape-html.js';
export { Least } from './least.js';
export { htmlPage } from './page.js';
export { PICTURES_AT_ONCE, picturesHtml, type SheetPictures, sheetPictures } from './pictures.js';
