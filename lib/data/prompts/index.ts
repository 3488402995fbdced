/** Prompt sets: what the teacher is asked and what the student is told it was asked. */
export {
  CLOSED_QUESTIONS,
  type ClosedQuestion,
  type ClosedQuestionName,
} from './closed-questions.js';
export { genderWord, teacherPrompt } from './person.js';
export {
  checkPromptSet,
  loadPromptSet,
  PROMPT_SETS,
  promptSetHash,
  selectQuestions,
} from './load-prompt-set.js';
export type { PromptQuestion, PromptSet } from './prompt-set.js';
