/**
 * The text of a question as evaluate.py of github Kartik-3004/facexbench puts it together:
 * the list of tools, the description of the task, the question, the request for a letter, the options,
 * each ended by a newline. The request stands before the options; pictures go before all text.
 */
import { optionLabels } from './extract-official.js';
import { type FaceXFile, type FaceXQuestion, LABELLED_OPTIONS } from './question-file.js';

/** `in-context` adds the description of the task (evaluate.py's `--prepend_text`). */
export type FaceXSetting = 'zero-shot' | 'in-context';

export function buildPrompt(
  file: FaceXFile,
  question: FaceXQuestion,
  setting: FaceXSetting,
): string {
  const labels = optionLabels(LABELLED_OPTIONS);
  const parts = [
    file.category === 'tools_use' ? file.context : '',
    setting === 'in-context' ? file.prependText : '',
    question.text,
    file.postpendText,
    ...question.options
      .slice(0, LABELLED_OPTIONS)
      .map((option, i) => `(${labels[i] ?? ''}) ${option}`),
  ];
  return parts
    .filter((part) => part !== '')
    .map((part) => `${part}\n`)
    .join('');
}
