/** Prompt sets: what the teacher is asked and what the student is told it was asked. */
export { genderWord, teacherPrompt } from './person.js';
export {
  checkPromptSet,
  loadPromptSet,
  PROMPT_SETS,
  type PromptQuestion,
  type PromptSet,
  promptSetHash,
} from './prompt-set.js';
